const WHOLE = new Intl.NumberFormat("en-GB");
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const count = (value: number): string => WHOLE.format(Math.round(value));
export const clock = (date: Date): string => CLOCK.format(date);

/** A number with about three digits and its unit apart: one of them is often smaller on the page. */
export type Quantity = [number: string, unit: string];

export function duration(ms: number): Quantity {
  if (ms >= 9999.5) return [(ms / 1000).toFixed(0), "s"];
  if (ms >= 999.5) return [(ms / 1000).toFixed(1), "s"];
  return [ms >= 99.5 ? ms.toFixed(0) : ms.toFixed(1), "ms"];
}

export function bytes(value: number): Quantity {
  if (value < 1000) return [value.toFixed(0), "B"];
  if (value < 999_500) return [(value / 1000).toFixed(value < 99_950 ? 1 : 0), "kB"];
  return [(value / 1e6).toFixed(value < 99.95e6 ? 1 : 0), "MB"];
}

export const rate = (perSecond: number): string =>
  perSecond >= 10 || perSecond === 0 ? count(perSecond) : perSecond.toFixed(1);

/** With a no-break space. */
export const joined = ([number, unit]: Quantity): string => `${number}\u00a0${unit}`;
