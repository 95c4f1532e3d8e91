import type { TransportName } from "@tricast/client";
import type uPlot from "uplot";
import { duration, joined } from "../ui/format.ts";
import { axis, faded, fitted, powersOfTen } from "../ui/plot.ts";
import { colour } from "../ui/theme.ts";
import { NAMES, TRANSPORTS } from "../ui/transports.ts";
import { SPAN_MS } from "./strip.ts";

const BUCKET_MS = 250;
const BUCKETS = SPAN_MS / BUCKET_MS;
const AXIS_PX = 56;

interface Bucket {
  readonly index: number;
  readonly transport: TransportName;
  readonly values: number[];
}

/** Latencies of the last minute: per quarter of a second the median as a line, up to the worst as an area. */
export class LatencyPlot {
  readonly #buckets: Bucket[] = [];
  readonly #plot: uPlot;
  #isEmpty = true;

  constructor(host: HTMLElement) {
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const [place, name] of TRANSPORTS.entries()) {
      const stroke = () => colour(`--${name}`);
      series.push({ label: NAMES[name], stroke, width: 1.75, points: { show: true, size: 4, fill: stroke } });
      series.push({ stroke: () => faded(stroke(), 0.35), width: 1, points: { show: false } });
      bands.push({ series: [2 * place + 2, 2 * place + 1], fill: () => faded(stroke(), 0.16) });
    }
    const options: Omit<uPlot.Options, "width" | "height"> = {
      series,
      bands,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 14, 0, 0],
      scales: {
        x: { time: false, range: [-SPAN_MS / 1000, 0] },
        y: { distr: 3, range: (_, low, high) => decades(low, high) },
      },
      axes: [
        {
          ...axis(),
          splits: (plot) => (plot.width < 480 ? [-60, -40, -20, 0] : [-60, -50, -40, -30, -20, -10, 0]),
          values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "now" : `${tick} s`)),
          size: 30,
        },
        {
          ...axis(),
          size: AXIS_PX,
          filter: (_, splits) => splits,
          splits: (_plot, _axis, low, high) => powersOfTen(low, high),
          values: (_, ticks) => ticks.map((tick) => joined(duration(tick)).replace(".0", "")),
        },
      ],
    };
    this.#plot = fitted(host, options, this.#data());
  }

  add(ms: number, transport: TransportName): void {
    const index = Math.floor(performance.now() / BUCKET_MS);
    const last = this.#buckets.at(-1);
    if (last?.index === index && last.transport === transport) last.values.push(ms);
    else this.#buckets.push({ index, transport, values: [ms] });
    this.#isEmpty = false;
  }

  draw(): void {
    const oldest = performance.now() / BUCKET_MS - BUCKETS - 1;
    while (this.#buckets[0] !== undefined && this.#buckets[0].index < oldest) this.#buckets.shift();
    if (this.#isEmpty) return;
    this.#isEmpty = this.#buckets.length === 0;
    this.#plot.setData(this.#data());
  }

  #data(): uPlot.AlignedData {
    const now = performance.now() / BUCKET_MS;
    const first = Math.floor(now) - BUCKETS;
    const columns: (number | null)[][] = TRANSPORTS.flatMap(() => [[], []]);
    const x: number[] = [];
    let next = 0;
    for (let index = first; index <= now; index++) {
      x.push(((index + 0.5 - now) * BUCKET_MS) / 1000);
      for (const column of columns) column.push(null);
      while (next < this.#buckets.length && (this.#buckets[next]?.index ?? 0) < index) next++;
      for (; this.#buckets[next]?.index === index; next++) {
        const { transport, values } = this.#buckets[next] as Bucket;
        const place = 2 * TRANSPORTS.indexOf(transport);
        const sorted = values.toSorted((a, b) => a - b);
        (columns[place] as (number | null)[])[x.length - 1] = sorted[sorted.length >> 1] ?? null;
        (columns[place + 1] as (number | null)[])[x.length - 1] = sorted.at(-1) ?? null;
      }
    }
    return [x, ...columns];
  }
}

/** Whole powers of ten with room for all; never less than 1 ms to 100 ms, so that the axis stays calm. */
function decades(low: number | null, high: number | null): [number, number] {
  const floor = low === null ? 1 : 10 ** Math.floor(Math.log10(Math.max(low, 0.1)));
  const ceiling = high === null ? 100 : 10 ** Math.ceil(Math.log10(Math.max(high, 0.1)));
  return [Math.min(floor, 1), Math.max(ceiling, 100)];
}
