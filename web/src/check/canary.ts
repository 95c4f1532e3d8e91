import type { TransportName } from "@tricast/client";
import { randomName } from "../random.ts";
import type { Arrival, End, Observation, Seen } from "./observation.ts";

const BODY_MAX = 64 * 1024;
const ECHO = "is anybody there?";

/** Seconds of this page's own clock. */
export const now = (): number => performance.now() / 1000;

export interface Series {
  readonly n: number;
  /** Seconds between frames. */
  readonly interval: number;
  /** Seconds after the last frame is due until it is given up. */
  readonly patience: number;
}

/** One series of frames on one transport, watched. What goes wrong is noted, never thrown. */
export class Canary {
  readonly #url: URL;
  readonly #series: Series;
  readonly #tell: (arrival: Arrival) => void;
  readonly #abort = new AbortController();
  #n: number;
  #opened: number | null = null;
  #status: number | null = null;
  #error = "";
  #seen: Seen | null = null;
  #arrivals = new Map<number, Arrival>();
  #asked: number | null = null;
  #echoed: number | null = null;

  constructor(url: URL, series: Series, tell: (arrival: Arrival) => void = () => {}) {
    this.#url = url;
    this.#series = series;
    this.#n = series.n;
    this.#tell = tell;
  }

  async observe(transport: TransportName): Promise<Observation> {
    const watch = { ws: () => this.#socket(), sse: () => this.#stream(), poll: () => this.#polls() }[transport];
    const started = now();
    const deadline = this.#series.n * this.#series.interval + this.#series.patience;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#abort.abort();
    }, deadline * 1000);
    let end: End;
    try {
      end = await watch();
    } catch (error) {
      end = "failed";
      this.#error ||= error instanceof Error ? error.message : String(error);
    }
    clearTimeout(timer);
    return {
      transport,
      n: this.#n,
      interval: this.#series.interval,
      started,
      ended: now(),
      end: isLate ? "deadline" : end,
      opened: this.#opened,
      status: this.#status,
      arrivals: [...this.#arrivals.values()],
      echoSent: this.#asked !== null,
      echoed: this.#echoed,
      error: this.#error,
      seen: this.#seen,
    };
  }

  #socket(): Promise<End> {
    const url = this.#address("ws", 0);
    url.protocol = url.protocol.replace("http", "ws");
    return new Promise((resolve) => {
      const socket = new WebSocket(url);
      socket.onopen = () => {
        this.#opened = now();
      };
      socket.onmessage = ({ data }) => {
        this.#frame(String(data));
        if (this.#asked !== null || this.#arrivals.size === 0) return;
        this.#asked = now();
        socket.send(ECHO);
      };
      socket.onclose = ({ code }) => {
        if (code !== 1000) this.#error = `close code ${code}`;
        resolve(code === 1000 ? "ended" : "closed");
      };
      this.#abort.signal.addEventListener("abort", () => {
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        resolve("deadline");
      });
    });
  }

  async #stream(): Promise<End> {
    const response = await this.#get("sse", 0, { Accept: "text/event-stream" });
    if (response.status !== 200 || !isEventStream(response) || response.body === null) {
      this.#refused(response.status, await response.text());
      return "ended";
    }
    this.#opened = now();
    let rest = "";
    for await (const chunk of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("data:")) this.#frame(line.slice(5));
    }
    return "ended";
  }

  async #polls(): Promise<End> {
    const { n, interval } = this.#series;
    const over = now() + (n - 0.5) * interval;
    for (let first = 0; first < n; first++) {
      const start = now();
      if (start > over) {
        this.#n = first; // far away, not cut: those that were asked for were answered
        break;
      }
      const response = await this.#get("poll", first);
      if (first === 0) this.#opened = now();
      const body = (await response.text()).slice(0, BODY_MAX);
      if (response.status !== 200 || !this.#frame(body)) {
        this.#refused(response.status, body);
        return "ended";
      }
      const trip = Math.max(0, now() - start - interval);
      this.#echoed = Math.min(this.#echoed ?? trip, trip);
    }
    return "ended";
  }

  #get(path: string, first: number, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.#address(path, first), { headers, cache: "no-store", signal: this.#abort.signal });
  }

  #address(path: string, first: number): URL {
    const url = new URL(`canary/${path}`, this.#url);
    const unique = randomName(4); // some caches make equal requests wait for one another
    const query = { first, n: this.#series.n, interval: this.#series.interval, unique };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    return url;
  }

  /** Takes down a frame. False for what is none: anybody may answer here. */
  #frame(text: string): boolean {
    const arrived = now();
    const frame = members(text);
    if (frame.type === "canary-echo" && this.#asked !== null) this.#echoed ??= arrived - this.#asked;
    const { seq, sent, seen } = frame;
    if (frame.type !== "canary" || !Number.isInteger(seq) || !Number.isFinite(sent)) return false;
    const arrival = { seq: seq as number, sent: sent as number, arrived };
    if (arrival.seq >= 0 && arrival.seq < this.#series.n && !this.#arrivals.has(arrival.seq)) {
      this.#arrivals.set(arrival.seq, arrival);
      this.#tell(arrival);
    }
    if (typeof seen === "object" && seen !== null) this.#seen ??= seen;
    return true;
  }

  #refused(status: number, body: string): void {
    this.#status = status;
    const { type, message } = members(body);
    if (type === "error") this.#error = `the server says: ${String(message).slice(0, 200)}`;
    else if (status < 300) this.#error = "something else than tricast answered";
    if (this.#arrivals.size > 0) this.#error = `HTTP status ${status}`;
  }
}

const isEventStream = (response: Response): boolean =>
  response.headers.get("Content-Type")?.startsWith("text/event-stream") ?? false;

/** Not every browser can iterate a stream. */
export async function* chunks(stream: ReadableStream<string>): AsyncGenerator<string> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function members(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
