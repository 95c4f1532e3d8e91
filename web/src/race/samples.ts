/** Latencies in milliseconds, all of them, so that percentiles are exact. */
export class Samples {
  #values = new Float64Array(1024);
  #length = 0;
  #isSorted = true;

  get length(): number {
    return this.#length;
  }

  add(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
    this.#isSorted = false;
  }

  /** The smallest value that so large a share of the samples does not exceed; null without samples. */
  quantile(share: number): number | null {
    if (this.#length === 0) return null;
    const rank = Math.ceil(share * this.#length);
    return this.#sorted()[Math.max(0, Math.min(this.#length, rank) - 1)] ?? null;
  }

  get max(): number | null {
    return this.quantile(1);
  }

  /** For each edge, which share of the samples is no larger. Edges must grow. */
  shares(edges: readonly number[]): number[] {
    const sorted = this.#sorted();
    let place = 0;
    return edges.map((edge) => {
      while (place < this.#length && (sorted[place] as number) <= edge) place++;
      return place / Math.max(1, this.#length);
    });
  }

  #sorted(): Float64Array {
    const used = this.#values.subarray(0, this.#length);
    if (!this.#isSorted) used.sort();
    this.#isSorted = true;
    return used;
  }
}
