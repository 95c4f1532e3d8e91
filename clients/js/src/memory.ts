/** What worked is remembered per origin, for a while, so that the next connect begins with it. */

import { within } from "./time.js";
import type { TransportName } from "./wire/messages.js";

/** Seconds. Networks change; a better transport is looked for anyway, only later. */
const TTL = 3600;
const ORIGINS_MAX = 100;
/** Seconds to wait for what is remembered. */
const STORE_TIMEOUT = 0.5;
/** Seconds after which the same is worth saving again. */
const REMEMBER_AGAIN = 60;

/** `transport` worked at `at`, in seconds since 1970. */
export interface Memory {
  transport: TransportName;
  at: number;
}

/** Where memories are kept. Whatever goes wrong there is no harm: then nothing is remembered. */
export interface Store {
  load(origin: string): Memory | null | Promise<Memory | null>;
  save(origin: string, memory: Memory): void | Promise<void>;
}

/** What a client remembers of one origin. A store that is slow or fails is as good as none. */
export class Recall {
  readonly #store: Store | null;
  readonly #origin: string;
  #last: Memory | null = null;

  constructor(store: Store | null, origin: string) {
    this.#store = store;
    this.#origin = origin;
  }

  /** What worked, and how many seconds ago. */
  async load(): Promise<[TransportName, number] | []> {
    try {
      const store = this.#store;
      this.#last = store && (await within(STORE_TIMEOUT, undefined, async () => store.load(this.#origin)));
    } catch {
      return [];
    }
    const age = this.#last ? ageOf(this.#last) : -1;
    return this.#last && age >= 0 && age <= TTL ? [this.#last.transport, age] : [];
  }

  /** This one works now. */
  async save(transport: TransportName): Promise<void> {
    const last = this.#last;
    const age = last?.transport === transport ? ageOf(last) : -1;
    if (!this.#store || (age >= 0 && age <= REMEMBER_AGAIN)) return;
    this.#last = { transport, at: Date.now() / 1000 };
    try {
      await this.#store.save(this.#origin, this.#last);
    } catch {
      // See Store.
    }
  }
}

/** What is needed of localStorage. */
interface Items {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** One item of localStorage, or of what is like it. */
export class LocalStore implements Store {
  readonly #key: string;
  readonly #storage: Items;

  constructor(key = "tricast", storage: Items = localStorage) {
    this.#key = key;
    this.#storage = storage;
  }

  load(origin: string): Memory | null {
    const memory = this.#read()[origin];
    return isMemory(memory) ? memory : null;
  }

  save(origin: string, memory: Memory): void {
    const kept = { ...this.#read(), [origin]: memory };
    const latest = Object.entries(kept)
      .filter(([, value]) => isMemory(value))
      .sort(([, a], [, b]) => b.at - a.at);
    this.#storage.setItem(this.#key, JSON.stringify(Object.fromEntries(latest.slice(0, ORIGINS_MAX))));
  }

  #read(): Record<string, Memory> {
    try {
      return JSON.parse(this.#storage.getItem(this.#key) ?? "{}");
    } catch {
      return {}; // someone else's: it is written anew
    }
  }
}

/** Seconds; negative where it is from the future. */
function ageOf(memory: Memory): number {
  return Date.now() / 1000 - memory.at;
}

function isMemory(value: Memory | undefined): value is Memory {
  return !!value && ["ws", "sse", "poll"].includes(value.transport) && ageOf(value) >= 0 && ageOf(value) <= TTL;
}
