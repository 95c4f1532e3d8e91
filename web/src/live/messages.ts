import type { Gap, Message, TransportName } from "@tricast/client";
import { eachFrame, element } from "../ui/dom.ts";
import { clock, count } from "../ui/format.ts";
import { NAMES } from "../ui/transports.ts";
import { flowData } from "./flow.ts";
import { gapWords } from "./words.ts";

const ROWS_MAX = 500;
const TEXT_MAX = 4000;
const QUIET_MS = 1000;
/** So near the end counts as the end; so long after a person's act the scrolling is theirs. */
const END_PX = 48;
const TOUCH_MS = 1000;

/** The last messages. Rows wait for the next picture, and no more of them than would stay. */
export class Messages {
  readonly #list: HTMLElement;
  readonly #me: string;
  #rows: (() => HTMLElement)[] = [];
  #isAtEnd = true;
  #drawn = 0;
  readonly #draw = eachFrame(() => this.#append());

  constructor(list: HTMLElement, me: string) {
    this.#list = list;
    this.#me = me;
    // Rows that come and go scroll too, but only a person can want to stay where it is not the end.
    let touched = Number.NEGATIVE_INFINITY;
    const touch = () => {
      touched = performance.now();
    };
    for (const name of ["wheel", "touchmove", "keydown", "pointerdown"])
      list.addEventListener(name, touch, { passive: true });
    const scrolled = () => {
      const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < END_PX;
      if (isAtEnd || performance.now() - touched < TOUCH_MS) this.#isAtEnd = isAtEnd;
    };
    list.addEventListener("scroll", scrolled, { passive: true });
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  add(message: Message, transport: TransportName): void {
    this.#push(() => this.#row(message, transport));
  }

  gap(gap: Gap): void {
    this.#push(() => element("div", { class: "row gap" }, element("b", {}, "Gap "), gapWords(gap)));
  }

  clear(): void {
    this.#rows = [];
    this.#list.replaceChildren();
  }

  #push(row: () => HTMLElement): void {
    this.#rows.push(row);
    // What would scroll away at once is never made.
    if (this.#rows.length > 2 * ROWS_MAX) this.#rows = this.#rows.slice(-ROWS_MAX);
    this.#draw();
  }

  #append(): void {
    const list = this.#list;
    const now = performance.now();
    // A stream of messages is not for reading out; one now and then is.
    const live = now - this.#drawn < QUIET_MS ? "off" : "polite";
    if (list.getAttribute("aria-live") !== live) list.setAttribute("aria-live", live);
    this.#drawn = now;
    const rows = this.#rows.slice(-ROWS_MAX);
    this.#rows = [];
    list.append(...rows.map((row) => row()));
    for (let extra = list.childElementCount - ROWS_MAX; extra > 0; extra--) list.firstElementChild?.remove();
    this.#follow();
  }

  #follow(): void {
    if (this.#isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #row(message: Message, transport: TransportName): HTMLElement {
    const { cursor, from, ts, event } = message;
    const when = new Date((ts ?? 0) * 1000);
    const numbered = flowData(message.data);
    const isMine = from === this.#me;
    const sender = element("span", { class: "from", title: from ?? "" }, isMine ? "you" : (from ?? "–"));
    const body = element("span", { class: "data", dir: "auto" });
    if (event !== undefined) body.append(element("b", {}, event));
    if (numbered === null) body.append(shortened(text(message.data)));
    else body.append(element("span", { class: "soft" }, `no. ${count(numbered.n)}`));
    return element(
      "div",
      {
        "data-via": transport,
        class: "row",
        title: `over ${NAMES[transport]}, ${cursor}`,
      },
      element("time", { datetime: when.toISOString() }, clock(when)),
      sender,
      body,
    );
  }
}

function text(data: unknown): string {
  if (typeof data === "string" && data !== "") return data;
  if (data instanceof Uint8Array) return `${count(data.length)} bytes`;
  return JSON.stringify(data);
}

const shortened = (long: string): string =>
  long.length > TEXT_MAX ? `${long.slice(0, TEXT_MAX)} … (${count(long.length)} characters)` : long;
