/** What a numbered message carries besides: see `Ledger`. */
export interface Numbered {
  /** Names a run of numbers of one sender. */
  readonly series: string;
  readonly n: number;
  /** All numbers up to this one had been acknowledged when this message was sent, so they stand before it in the log. */
  readonly acked: number;
}

/** Anybody may publish anything: what no sender of ours would say is not believed, as it could keep a page busy. */
export function isNumbered(data: object): data is Numbered {
  const { series, n, acked } = data as Record<string, unknown>;
  if (typeof series !== "string" || series.length > 256) return false;
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(acked)) return false;
  const [number, known] = [n as number, acked as number];
  return known >= 0 && known < number && number - known <= IN_FLIGHT_MAX + WINDOW;
}

/** How many of a series may be under way at one time. */
export const IN_FLIGHT_MAX = 64;
const SERIES_MAX = 50;
/** How many numbers back a second copy is known for one. */
const WINDOW = 1000;

interface Series {
  /** Up to here it was looked for what is missing. */
  checked: number;
  /** Up to here all count as seen; later ones are in `seen`. */
  pruned: number;
  readonly seen: Set<number>;
  /** Those that were counted as lost. */
  readonly missed: Set<number>;
}

export interface Counts {
  received: number;
  lost: number;
  duplicated: number;
  reordered: number;
}

/** What a page keeps of it over a reload. */
export interface Kept {
  readonly counts: Counts;
  readonly series: Readonly<Record<string, { checked: number; pruned: number; seen: number[]; missed: number[] }>>;
}

/**
 * Counts what was lost, came twice or came out of order, by numbers that senders put into what they publish and not by
 * anything that the bus says of itself. A number is lost when a message comes that was sent after the server had
 * acknowledged it: the log has it earlier, so it had to come earlier.
 */
export class Ledger {
  readonly counts: Counts = { received: 0, lost: 0, duplicated: 0, reordered: 0 };
  #series = new Map<string, Series>();

  /** A series of this page's own, which it will hear from its first number on. */
  begin(series: string): void {
    this.#add(series, 0, 0);
  }

  /** `isAgain`: by its cursor it came twice or out of order. */
  take(numbered: Numbered | null, isAgain: boolean): void {
    this.counts.received++;
    if (numbered === null) {
      if (isAgain) this.counts.duplicated++;
      return;
    }
    const { series, n, acked } = numbered;
    // Of a stranger's series, those that were under way when this page came are not asked after.
    const known = this.#series.get(series) ?? this.#add(series, n + IN_FLIGHT_MAX, Math.max(0, n - WINDOW));
    if (known.missed.delete(n)) {
      this.counts.lost--;
      this.counts.reordered++;
    } else if (n <= known.pruned || known.seen.has(n)) this.counts.duplicated++;
    else if (isAgain) this.counts.reordered++;
    known.seen.add(n);
    for (; known.checked < acked; known.checked++) {
      const number = known.checked + 1;
      if (known.seen.has(number)) continue;
      known.missed.add(number);
      this.counts.lost++;
    }
    while (known.pruned < known.checked - WINDOW) known.seen.delete(++known.pruned);
  }

  /** Something is known to be missing: what was before is asked after no more. */
  forget(): void {
    this.#series.clear();
  }

  toJSON(): Kept {
    const series = [...this.#series].map(([name, known]) => [
      name,
      { ...known, seen: [...known.seen], missed: [...known.missed] },
    ]);
    return { counts: this.counts, series: Object.fromEntries(series) };
  }

  static from({ counts, series }: Kept): Ledger {
    const ledger = new Ledger();
    Object.assign(ledger.counts, counts);
    for (const [name, kept] of Object.entries(series))
      ledger.#series.set(name, { ...kept, seen: new Set(kept.seen), missed: new Set(kept.missed) });
    return ledger;
  }

  #add(name: string, checked: number, pruned: number): Series {
    const series: Series = { checked, pruned, seen: new Set(), missed: new Set() };
    this.#series.set(name, series);
    const [oldest] = this.#series.keys();
    if (this.#series.size > SERIES_MAX && oldest !== undefined) this.#series.delete(oldest);
    return series;
  }
}
