/** What can be asked of `connect`. */

import { ConnectFailed } from "./errors.js";
import type { Store } from "./memory.js";
import type { Policy } from "./policy.js";
import { randomName } from "./random.js";
import type { Target } from "./transports/base.js";
import { isName } from "./wire/cursor.js";
import type { Format } from "./wire/format.js";
import { json } from "./wire/json.js";
import type { TransportName } from "./wire/messages.js";

const TRANSPORTS: TransportName[] = ["ws", "sse", "poll"];
/** Seconds. */
const CONNECT_TIMEOUT = 5;
const SEND_TIMEOUT = 10;

/** Times are in seconds. */
export interface ConnectOptions {
  /** Default: `["lobby"]`. May be empty, where it is only to publish. */
  topics?: readonly string[];
  /** The best one first: they race, with a head start for the better ones. One alone is forced. */
  transports?: readonly TransportName[];
  /** Go on after this one; "earliest": from the oldest kept. Default: from now on. */
  cursor?: string;
  /** Without `cursor`: begin with so many messages of each topic before now. */
  last?: number;
  /** A bearer token, or what gives one for each request; it is asked again where one expires or is refused. */
  token?: string | (() => string | Promise<string>);
  /** The own name, which others see as `from`: 1 to 64 of `A-Za-z0-9_-`. Default: made up. */
  client?: string;
  /** False: not to be sent the own messages. */
  echo?: boolean;
  /** Whether a loss comes as a `Gap` among the messages, or is thrown where they are iterated. */
  onGap?: "yield" | "throw";
  /** So long until the bus gives up, if nothing works at first. Default: 15. */
  openTimeout?: number;
  /** How many messages wait to be read before no more are fetched. Default: 1000. */
  buffer?: number;
  /** Remembers what worked from one connect to the next. Default: none. */
  store?: Store | null;
  /** The times of the fallback. */
  policy?: Partial<Policy>;
  /** How it is spelled on the wire: JSON, or `protobuf` of `@tricast/client/protobuf`. */
  format?: Format;
  /** For every request; for WebSocket only where the implementation takes headers. */
  headers?: Record<string, string>;
  /** Whether SSE goes by `fetch` or by the browser's `EventSource`. */
  sse?: "fetch" | "eventsource";
  /** Whether the tabs of an origin share one SSE stream. Default: where the browser can. */
  share?: boolean;
  /** Default: the platform's own. Node 20 has none: pass that of the package `ws`. */
  WebSocket?: new (
    url: string,
    protocols?: string[],
  ) => { readyState: number; send(data: string | Uint8Array<ArrayBuffer>): void; close(): void };
  fetch?: typeof fetch;
  EventSource?: new (url: string) => { readyState: number; close(): void };
  /** Closes the bus. */
  signal?: AbortSignal;
}

/** The transports that are asked for. Throws TypeError. */
export function transportsOf({ transports = TRANSPORTS }: ConnectOptions): TransportName[] {
  if (!transports.length || !transports.every((name) => TRANSPORTS.includes(name))) {
    throw new TypeError(`transports is a list of ${TRANSPORTS.join(", ")}`);
  }
  return [...new Set(transports)];
}

/** Throws TypeError for what cannot be meant. */
export function targetOf(url: string | URL, options: ConnectOptions): Target {
  const { client = randomName(8), echo = true, token, headers = {}, format = json } = options;
  if (!isName(client)) throw new TypeError("client is no name: 1 to 64 of A-Za-z0-9_-");
  return {
    url: baseUrl(url),
    client,
    echo,
    token: async () => {
      try {
        return await (typeof token === "function" ? token() : token);
      } catch (cause) {
        throw new ConnectFailed(`no token: ${cause}`, { cause });
      }
    },
    renews: typeof token === "function",
    headers,
    format,
    // Browsers' own fetch minds what it is called on.
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    WebSocket: (options.WebSocket ?? globalThis.WebSocket) as unknown as typeof WebSocket | undefined,
    EventSource: (options.EventSource ?? globalThis.EventSource) as unknown as typeof EventSource | undefined,
    connectTimeout: CONNECT_TIMEOUT,
    sendTimeout: SEND_TIMEOUT,
    traffic: { received: 0, sent: 0, requests: 0 },
  };
}

/** The http(s) URL under which a server's endpoints are; in a browser it may be relative to the page. */
function baseUrl(address: string | URL): URL {
  const url = new URL(address, globalThis.location?.href);
  // The setter would not change between special and other schemes, but these are all special.
  url.protocol = url.protocol.replace("ws", "http");
  if (!/^https?:$/.test(url.protocol)) {
    throw new TypeError(`${address} is no address like http://127.0.0.1:8080`);
  }
  url.pathname = url.pathname.replace(/\/?$/, "/");
  url.search = url.hash = "";
  return url;
}

/** Whether tabs can find out which of them leads, and tell the others what comes. */
export function canShare(): boolean {
  const { location, navigator, BroadcastChannel } = globalThis as Partial<typeof globalThis>;
  return !!(location && navigator?.locks && BroadcastChannel);
}
