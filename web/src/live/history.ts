import { byId, element } from "../ui/dom.ts";
import { clock } from "../ui/format.ts";
import type { Mode, TimelineRecord } from "./line.ts";
import { Narrator, type Tone } from "./words.ts";

const ROWS_MAX = 200;

/** "What happened": the newest first. */
export class History {
  readonly #list = byId("past");
  readonly #narrators = new WeakMap<object, Narrator>();

  constructor() {
    const details = byId<HTMLInputElement>("details");
    const show = () => this.#list.classList.toggle("detailed", details.checked);
    details.addEventListener("change", show);
    show();
  }

  /** What `bus` has noted; its times count from its own beginning. */
  record(bus: object, record: TimelineRecord, mode: Mode): void {
    const narrator = this.#narrators.get(bus) ?? new Narrator();
    this.#narrators.set(bus, narrator);
    const { text, tone } = narrator.tell(record, mode);
    this.#add(text, tone, record.transport);
  }

  /** What the user did. */
  you(text: string): void {
    this.#add(text, "you");
  }

  say(text: string, tone: Tone = "plain"): void {
    this.#add(text, tone);
  }

  #add(text: string, tone: Tone | "you", via: string | null = null): void {
    const now = new Date();
    const row = element(
      "div",
      { class: "row", "data-tone": tone, "data-via": via },
      element("time", { datetime: now.toISOString() }, clock(now)),
      element("span", {}, text),
    );
    this.#list.prepend(row);
    while (this.#list.childElementCount > ROWS_MAX) this.#list.lastElementChild?.remove();
  }
}
