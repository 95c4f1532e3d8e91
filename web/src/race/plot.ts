import type uPlot from "uplot";
import { duration, joined } from "../ui/format.ts";
import { axis, fitted } from "../ui/plot.ts";
import { colour } from "../ui/theme.ts";
import { NAMES } from "../ui/transports.ts";
import type { Lane } from "./lane.ts";

const PER_DECADE = 40;
const FIRST = 0.1;
const LAST = 10_000;
/** Where the axis may begin and end, and what it says. */
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, LAST];
const EDGES = Array.from(
  { length: Math.log10(LAST / FIRST) * PER_DECADE + 1 },
  (_, step) => FIRST * 10 ** (step / PER_DECADE),
);

/** The share of messages that came within a time, per transport: a curve further left is quicker. */
export class DistributionPlot {
  readonly #plot: uPlot;
  #range: [number, number] = [1, 100];

  constructor(host: HTMLElement, transports: readonly Lane["transport"][]) {
    const options: Omit<uPlot.Options, "width" | "height"> = {
      series: [
        {},
        ...transports.map((name) => ({
          label: NAMES[name],
          stroke: () => colour(`--${name}`),
          width: 2,
          points: { show: false },
        })),
      ],
      legend: { show: false },
      cursor: { show: false },
      padding: [10, 22, 0, 0],
      scales: {
        x: { time: false, distr: 3, range: () => this.#range },
        y: { range: [0, 100] },
      },
      axes: [
        {
          ...axis(),
          size: 30,
          filter: (_, splits) => splits,
          splits: (_plot, _axis, low, high) => STEPS.filter((step) => step >= low && step <= high),
          values: (_, ticks) => ticks.map((tick) => joined(duration(tick)).replace(".0", "")),
        },
        { ...axis(), size: 56, splits: [0, 25, 50, 75, 100], values: (_, ticks) => ticks.map((tick) => `${tick} %`) },
      ],
    };
    this.#plot = fitted(host, options, [[...EDGES], ...transports.map(() => EDGES.map(() => null))]);
  }

  draw(lanes: readonly Lane[]): void {
    const filled = lanes.filter(({ samples }) => samples.length > 0);
    const least = Math.min(...filled.map(({ samples }) => samples.quantile(0) ?? 1), 5);
    const most = Math.max(...filled.map(({ samples }) => samples.max ?? 10), 20);
    const below = STEPS.findLast((step) => step <= least) ?? FIRST;
    this.#range = [below, STEPS.find((step) => step >= most) ?? LAST];
    const columns = lanes.map(({ samples }) =>
      samples.length === 0 ? EDGES.map(() => null) : samples.shares(EDGES).map((share) => share * 100),
    );
    this.#plot.setData([[...EDGES], ...columns]);
  }
}
