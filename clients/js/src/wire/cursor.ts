/** Cursor and topic names: the two words of the contract that everything else is made of. */

const OFFSET_LIMIT = 2n ** 63n;
const TOPIC_MAX = 128;

export const INBOX_PREFIX = "_inbox.";

/** `<epoch>-<offset>`: I have everything up to here. Ordered only within one epoch. */
export class Cursor {
  constructor(
    readonly epoch: string,
    readonly offset: bigint,
  ) {}

  /** The cursor that `text` spells, or null where it spells none. */
  static parse(text: unknown): Cursor | null {
    const match = typeof text === "string" ? /^([^\W_]{1,32})-(\d{1,19})$/.exec(text) : null;
    if (!match) return null;
    const offset = BigInt(match[2] as string);
    return offset < OFFSET_LIMIT ? new Cursor(match[1] as string, offset) : null;
  }

  /** Whether it is of the same epoch and not past `other`. */
  isWithin(other: Cursor | null): boolean {
    return other !== null && this.epoch === other.epoch && this.offset <= other.offset;
  }

  equals(other: Cursor | null): boolean {
    return other !== null && this.epoch === other.epoch && this.offset === other.offset;
  }

  toString(): string {
    return `${this.epoch}-${this.offset}`;
  }
}

/** A topic's name: segments joined by single dots, 128 characters at most; an inbox needs 22 after its dot. */
export function isTopic(name: unknown): name is string {
  return (
    typeof name === "string" &&
    name.length <= TOPIC_MAX &&
    /^[\w:-]+(\.[\w:-]+)*$/.test(name) &&
    (!name.startsWith(INBOX_PREFIX) || /^_inbox\.[\w-]{22,}$/.test(name))
  );
}

/** A message id or a client id. */
export function isName(text: unknown): text is string {
  return typeof text === "string" && /^[\w-]{1,64}$/.test(text);
}
