/** Buses of a test, which are closed at its end, and what they brought. */

import { afterEach } from "vitest";
import { WebSocket } from "ws";
import { type Bus, type ConnectOptions, connect, type Gap, type Message } from "../../src/index.js";

const open: Bus[] = [];

afterEach(async () => {
  for (const bus of open.splice(0)) await bus.close();
});

export function join(url: string, options: ConnectOptions = {}): Bus {
  const bus = connect(url, { WebSocket, ...options });
  open.push(bus);
  return bus;
}

export function aTopic(): string {
  return `t${Math.random().toString(36).slice(2)}`;
}

/** The next so many items. */
export async function take(bus: Bus, count: number): Promise<(Message | Gap)[]> {
  const items: (Message | Gap)[] = [];
  if (!count) return items;
  for await (const item of bus) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

export function dataOf(items: (Message | Gap)[]): unknown[] {
  return items.map((item) => (item.type === "gap" ? `gap ${item.reason}` : item.data));
}

/** Resolves when `test` holds. */
export async function until(test: () => boolean, what: string, seconds = 20): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !test(); ) {
    if (Date.now() > end) throw new Error(`it took too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
