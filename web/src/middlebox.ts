/** What passed of one kind of exchange. Bytes count when they pass, so what is held is not among them. */
export interface Traffic {
  readonly requests: number;
  readonly open: number;
  readonly cut: number;
  readonly up: number;
  readonly down: number;
}

export type Kind = "ws" | "sse" | "poll" | "send" | "other";

/** What its control API answers to everything. */
export interface MiddleboxState {
  readonly preset: string | null;
  readonly faults: Readonly<Record<string, unknown>>;
  readonly counters: { readonly kinds: Readonly<Record<Kind, Traffic>> };
  readonly presets: Readonly<Record<string, { readonly about: string }>>;
  /** Only after a cut: how many connections it ended. */
  readonly cut?: number;
}

/** The proxy between this page and the bus, whose faults can be switched. All methods reject where it is away. */
export class Middlebox {
  readonly #control: URL;

  constructor(control: URL) {
    this.#control = control;
  }

  state(): Promise<MiddleboxState> {
    return this.#ask("GET", "");
  }

  /** These faults besides those there are; null takes one off. */
  merge(faults: Readonly<Record<string, unknown>>): Promise<MiddleboxState> {
    return this.#ask("PATCH", "faults", faults);
  }

  preset(name: string): Promise<MiddleboxState> {
    return this.#ask("POST", `presets/${encodeURIComponent(name)}`);
  }

  heal(): Promise<MiddleboxState> {
    return this.#ask("DELETE", "faults");
  }

  /** Ends open connections, all or those of a kind. */
  cut(kind?: Kind): Promise<MiddleboxState> {
    return this.#ask("POST", kind === undefined ? "cut" : `cut?kind=${kind}`);
  }

  async #ask(method: string, path: string, body?: unknown): Promise<MiddleboxState> {
    const response = await fetch(new URL(path, this.#control), {
      method,
      signal: AbortSignal.timeout(5000),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error ?? `the middlebox answered ${response.status}`);
    return answer;
  }
}

/** What a preset does, as a sentence. */
export function describe(about: string): string {
  return about && `${about.slice(0, 1).toUpperCase()}${about.slice(1)}.`;
}
