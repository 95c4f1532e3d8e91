import type { TransportName } from "@tricast/client";
import { element } from "../ui/dom.ts";
import { NAMES, SHORT } from "../ui/transports.ts";

/** How much of the past is shown. */
export const SPAN_MS = 60_000;

interface Segment {
  readonly transport: TransportName | null;
  readonly from: number;
  readonly label: string;
  readonly bar: HTMLElement;
}

interface Mark {
  readonly at: number;
  readonly tick: HTMLElement;
}

/** Which transport carried when, as a coloured strip that ends now. Times are those of `performance.now()`. */
export class Strip {
  readonly #track: HTMLElement;
  #segments: Segment[] = [];
  #marks: Mark[] = [];

  constructor(track: HTMLElement) {
    this.#track = track;
  }

  carry(transport: TransportName | null): void {
    const last = this.#segments.at(-1);
    if (last?.transport === transport) return;
    const label = transport === null ? "nothing" : SHORT[transport];
    const bar = element("div", { class: "segment", "data-via": transport ?? "none" }, element("span", {}, label));
    this.#segments.push({ transport, from: performance.now(), label, bar });
    this.#track.append(bar);
    this.draw();
  }

  /** Something that the user did to the network or to the bus. */
  mark(text: string): void {
    const tick = element("div", { class: "mark", title: text });
    this.#marks.push({ at: performance.now(), tick });
    this.#track.append(tick);
    this.draw();
  }

  draw(): void {
    const now = performance.now();
    const start = now - SPAN_MS;
    while (this.#segments[1] !== undefined && this.#segments[1].from < start) this.#segments.shift()?.bar.remove();
    while (this.#marks[0] !== undefined && this.#marks[0].at < start) this.#marks.shift()?.tick.remove();
    const share = (time: number) => ((Math.max(time, start) - start) / SPAN_MS) * 100;
    const track = this.#track.clientWidth;
    this.#segments.forEach(({ transport, from, label, bar }, index) => {
      const to = this.#segments[index + 1]?.from ?? now;
      const width = share(to) - share(from);
      bar.style.left = `${share(from).toFixed(3)}%`;
      bar.style.width = `${width.toFixed(3)}%`;
      bar.classList.toggle("narrow", (width * track) / 100 < label.length * 8 + 32);
      bar.title = `${transport === null ? "Nothing" : NAMES[transport]} for ${((to - from) / 1000).toFixed(1)} s`;
    });
    for (const { at, tick } of this.#marks) tick.style.left = `${share(at).toFixed(3)}%`;
  }

  /** For those who do not see it. */
  summary(): string {
    const shown = this.#segments.map(({ transport }) => (transport === null ? "nothing" : NAMES[transport]));
    return shown.length === 0 ? "Nothing yet" : `In the last minute: ${shown.slice(-8).join(", then ")}`;
  }
}
