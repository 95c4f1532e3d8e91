import type { TransportName } from "@tricast/client";
import { byId, element, write } from "../ui/dom.ts";
import { NAMES, TRANSPORTS } from "../ui/transports.ts";
import { isUsable, type Verdict, WORDS } from "./observation.ts";
import { FRAMES, INTERVAL, POLLS, QUICK } from "./probe.ts";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 60;
const BASE = 46;
const DOT = 3.5;
/** Dots within so much of the width stand on one another, and so many in a column. */
const BIN = 0.009;
const STACK = 5;

interface Lane {
  readonly picture: SVGSVGElement;
  readonly word: HTMLElement;
  readonly bins: Map<number, number>;
}

/** Frames as dots over time, a lane per transport. */
export class Picture {
  readonly #lanes: Readonly<Record<TransportName, Lane>>;
  #start = 0;

  constructor() {
    const lanes = TRANSPORTS.map((name) => [name, lane(name)] as const);
    this.#lanes = Object.fromEntries(lanes) as Record<TransportName, Lane>;
    for (let second = 0; second <= QUICK; second++) {
      const tick = element("span", {}, second === 0 ? "0 s" : `${second}`);
      tick.style.left = `${(second / QUICK) * 100}%`;
      byId("axis").append(tick);
    }
  }

  /** Empty again, and time begins. `start`: seconds of `performance.now()`. */
  begin(start: number): void {
    this.#start = start;
    for (const name of TRANSPORTS) {
      const { picture, word, bins } = this.#lanes[name];
      bins.clear();
      for (const dot of picture.querySelectorAll("circle")) dot.remove();
      word.className = "word soft";
      write(word, "…");
    }
  }

  dot(name: TransportName, arrived: number): void {
    const { picture, bins } = this.#lanes[name];
    const bin = Math.round(Math.min((arrived - this.#start) / QUICK, 1) / BIN);
    const below = bins.get(bin) ?? 0;
    bins.set(bin, below + 1);
    const attributes = {
      cx: `${(bin * BIN * 100).toFixed(2)}%`,
      cy: BASE - 8 - (below % STACK) * 8,
      r: DOT,
      transform: `translate(${Math.floor(below / STACK) * 8} 0)`,
    };
    picture.append(svg("circle", attributes));
    write(
      picture.querySelector("title") as unknown as HTMLElement,
      `${picture.querySelectorAll("circle").length} frames came`,
    );
  }

  judge(name: TransportName, verdict: Verdict): void {
    const { word } = this.#lanes[name];
    word.className = `word ${verdict === "clean" ? "fine" : isUsable(verdict) ? "" : "bad"}`;
    write(word, WORDS[verdict]);
  }
}

function lane(name: TransportName): Lane {
  const picture = svg("svg", { role: "img", height: HEIGHT });
  const title = svg("title", {});
  title.textContent = `No frames of ${NAMES[name]} yet`;
  picture.append(title);
  picture.append(svg("line", { x1: 0, x2: "100%", y1: BASE, y2: BASE }));
  const n = name === "poll" ? POLLS : FRAMES;
  for (let frame = 0; frame < n; frame++) {
    // The first poll is answered after its time, the first frame at once.
    const due = ((frame + (name === "poll" ? 1 : 0)) * FRAMES * INTERVAL) / n;
    const x = `${((due / QUICK) * 100).toFixed(2)}%`;
    picture.append(svg("line", { class: "due", x1: x, x2: x, y1: BASE, y2: BASE + 6 }));
  }
  const word = element("p", { class: "word soft" }, "not checked yet");
  const heading = element("h3", { class: "key" }, element("i", { class: "dot" }), NAMES[name]);
  byId("lanes").append(element("div", { class: "lane", "data-via": name }, heading, picture, word));
  return { picture, word, bins: new Map() };
}

function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}
