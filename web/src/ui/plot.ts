import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colour, onTheme } from "./theme.ts";

const FONT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';

/** How all axes look. */
export function axis(): uPlot.Axis {
  return {
    font: FONT,
    labelFont: FONT,
    stroke: () => colour("--soft"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    gap: 6,
  };
}

/** The same colour, to be seen through. */
export function faded(rgb: string, alpha: number): string {
  const numbers = rgb.match(/[\d.]+/g) ?? [];
  return `rgb(${numbers.slice(0, 3).join(" ")} / ${alpha})`;
}

/** A plot as large as its place, and always in the colours of the theme. The place must have a height of its own. */
export function fitted(
  host: HTMLElement,
  options: Omit<uPlot.Options, "width" | "height">,
  data: uPlot.AlignedData,
): uPlot {
  const size = () => ({ width: Math.max(host.clientWidth, 100), height: Math.max(host.clientHeight, 60) });
  const plot = new uPlot({ ...options, ...size() }, data, host);
  new ResizeObserver(() => plot.setSize(size())).observe(host);
  onTheme(() => plot.redraw(false, true));
  return plot;
}

/** Where a logarithmic axis has its lines. */
export const powersOfTen = (low: number, high: number): number[] => {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-6), Math.floor(Math.log10(high) + 1e-6)];
  return Array.from({ length: last - first + 1 }, (_, step) => 10 ** (first + step));
};
