/** The contract of a transport, and what all of them need of HTTP. */

import {
  CommandError,
  ConnectFailed,
  ConnectionLost,
  commandError,
  TooMany,
  TricastError,
  Unavailable,
  UplinkBlocked,
} from "../errors.js";
import type { Request } from "../session.js";
import { later, now, within } from "../time.js";
import { INBOX_PREFIX } from "../wire/cursor.js";
import type { Format } from "../wire/format.js";
import { decode, textIn } from "../wire/json.js";
import {
  type Batch,
  type Command,
  type Failure,
  type Frame,
  PROTOCOL,
  type Reply,
  type TransportName,
} from "../wire/messages.js";

/** Until a hello says otherwise. */
const HEARTBEAT = 15;
/** That a server which said bye may take to end the connection. */
const BYE_PATIENCE = 5;
/** A timer that is so late was held up, and what it measures says nothing. */
export const LATE = 1;
/** For a sign of life after that. */
const SIGN_PATIENCE = 4;
/** What Node says where nothing can have been sent. Browsers do not tell. */
const NOT_CONNECTED = /REFUSED|NOTFOUND|EAI_AGAIN|CONNECT_TIMEOUT/;

export type Answer = Reply | CommandError;
export type Query = Record<string, string>;

/** Where to connect, as whom, and with what. `client` is sent on every link, so that `from` stays. */
export interface Target {
  /** http or https; its path ends with a slash. */
  readonly url: URL;
  readonly client: string;
  readonly echo: boolean;
  /** Rejects with ConnectFailed. */
  readonly token: () => Promise<string | undefined>;
  /** Whether another token can be had when one is refused. */
  readonly renews: boolean;
  readonly headers: Record<string, string>;
  readonly format: Format;
  readonly fetch: typeof fetch;
  readonly WebSocket: typeof WebSocket | undefined;
  readonly EventSource: typeof EventSource | undefined;
  /** Seconds. */
  readonly connectTimeout: number;
  /** Seconds. */
  readonly sendTimeout: number;
  /** Bytes of payload, and a counter that makes URLs unique. */
  readonly traffic: { received: number; sent: number; requests: number };
}

export interface Exchange {
  status: number;
  headers: Headers;
  body: Uint8Array;
}

/** The link took in more than was read, and was ended for that: it goes on at the cursor, once there is room. */
export class Overflow extends ConnectionLost {}

/** One connection to the server, for one use. */
export abstract class Link {
  abstract readonly name: TransportName;
  /** How commands travel. In the stream, those that change its topics can be sent too; else it is opened anew. */
  readonly uplink: "stream" | "http" = "http";
  /** Seconds. */
  heartbeat = HEARTBEAT;
  /** Seconds that the server asked to wait before coming back. */
  reconnectAfter: number | null = null;
  /** What became of another transport, told with the first request. */
  why: string | undefined;
  protected readonly target: Target;
  /** Aborted by `close`. */
  protected readonly life = new AbortController();
  #ask: (() => void) | null = null;

  constructor(target: Target) {
    this.target = target;
  }

  /**
   * The frames that the server sends; the first (a hello, or a batch) within `connectTimeout`.
   *
   * Ends by throwing, never by itself: ConnectFailed before the first frame, ConnectionLost after it, ProtocolError, a
   * retryable CommandError (with `retryAfter`), or another one where the server refuses for good.
   */
  abstract open(request: Request): AsyncGenerator<Frame | Batch, never>;

  /**
   * The answer to a command. Throws BadRequest for data that cannot be carried, ConnectFailed where nothing was sent,
   * UplinkBlocked where something in between refused, ConnectionLost where the outcome is unknown.
   */
  send(command: Command): Promise<Answer> {
    return this.post(command);
  }

  /** `send` over HTTP, whatever the link: this also goes while nobody reads its stream. */
  async post(command: Command): Promise<Answer> {
    const { format, traffic, sendTimeout, renews } = this.target;
    const body = format.encodeBody(command);
    traffic.sent += byteLength(body);
    const init = { method: "POST", body, headers: format.headers };
    const ask = () => this.exchange("send", {}, init, sendTimeout, ConnectionLost);
    let answer = await ask();
    if (answer.status === 401 && renews) answer = await ask();
    return answer.status === 200 ? answerIn(format, answer.body) : notSent(answer);
  }

  /** Idempotent. Ends the connections at once. */
  close(): void {
    this.life.abort();
  }

  /** The machine or the page was asleep: a link that shows no sign of life soon is taken for dead. */
  check(): void {
    this.#ask?.();
  }

  /** Makes the server send something. */
  protected abstract prod(): void;

  /** The URL of an endpoint. */
  protected url(path: string, query: Query): URL {
    const { url, client, echo, format } = this.target;
    const own = { v: `${PROTOCOL}`, client, ...(echo ? {} : { echo: "0" }) };
    const spelled = format.name === "json" ? {} : { format: format.name };
    const why = this.why ? { why: this.why } : {};
    this.why = undefined;
    return new URL(`${path}?${new URLSearchParams({ ...query, ...own, ...spelled, ...why })}`, url);
  }

  protected async fetch(path: string, query: Query, init: RequestInit): Promise<Response> {
    const { fetch, headers, token } = this.target;
    const bearer = await token();
    const authorization = bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
    return fetch(this.url(path, query), {
      cache: "no-store",
      redirect: "manual",
      ...init,
      headers: { ...headers, ...authorization, ...init.headers },
    });
  }

  /** A request and its whole answer within so many seconds. Where it fails, throws ConnectFailed or what is given. */
  protected exchange(
    path: string,
    query: Query,
    init: RequestInit,
    seconds: number,
    error: typeof ConnectFailed | typeof ConnectionLost,
    life = this.life.signal,
  ): Promise<Exchange> {
    const work = async (signal: AbortSignal) => {
      const response = await this.fetch(path, query, { ...init, signal });
      const answer = await answerOf(response);
      this.target.traffic.received += answer.body.length;
      return answer;
    };
    return asOurs(
      error,
      within(seconds, life, work, ({ message }) => new error(`/${path}: ${message}`)),
    );
  }

  /** What connecting comes to in time. Throws ConnectFailed. */
  protected connecting<T>(work: () => Promise<T>): Promise<T> {
    return asOurs(ConnectFailed, within(this.target.connectTimeout, this.life.signal, work));
  }

  /** What comes next. Throws ConnectionLost where nothing does for twice the heartbeat. */
  protected async listen<T>(next: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      const wait = (seconds: number, whenOver: (late: number) => void) => {
        clearTimeout(timer);
        const due = now() + seconds;
        timer = later(seconds, () => whenOver(now() - due));
      };
      const giveUp = () => reject(new ConnectionLost("it fell silent"));
      const ask = () => {
        this.prod();
        wait(SIGN_PATIENCE, giveUp);
      };
      this.#ask = ask;
      // Hidden pages have their timers held up, and sleeping machines all of them.
      wait(this.#patience, (late) => (late > LATE ? ask() : giveUp()));
    });
    try {
      return await Promise.race([next, silence]);
    } finally {
      clearTimeout(timer);
      this.#ask = null;
    }
  }

  get #patience(): number {
    const silence = 2 * this.heartbeat;
    return this.reconnectAfter === null ? silence : Math.min(BYE_PATIENCE, silence);
  }

  /** Keeps what a frame says about the connection itself. */
  protected note(frame: Frame | Batch | undefined): void {
    if (frame?.type === "batch") {
      this.note(frame.hello);
      this.note(frame.bye);
    } else if (frame?.type === "hello" && frame.heartbeat > 0) {
      this.heartbeat = frame.heartbeat;
    } else if (frame?.type === "bye" && frame.reconnect_after >= 0) {
      this.reconnectAfter = frame.reconnect_after;
    }
  }
}

/** The request's own inbox: what is echoed there comes down the stream. */
export function inboxOf({ topics }: Request): string | undefined {
  return topics.find((topic) => topic.startsWith(INBOX_PREFIX));
}

/** Errors of the platform as one of ours. */
export function asOurs<T>(error: typeof ConnectFailed | typeof ConnectionLost, work: Promise<T>): Promise<T> {
  return work.catch((cause) => {
    if (cause instanceof TricastError) throw cause;
    const { code, message } = cause.cause ?? cause;
    throw new (NOT_CONNECTED.test(code) ? ConnectFailed : error)(message || code, { cause });
  });
}

export async function answerOf(response: Response): Promise<Exchange> {
  const { status, headers } = response;
  return { status, headers, body: new Uint8Array(await response.arrayBuffer()) };
}

/** What an HTTP answer that is no 200 means; without an error object it is not the server's own word. */
export function refusal({ status, headers, body }: Exchange): CommandError | ConnectFailed {
  // It may be missing, or a date.
  const wait = Number(headers.get("Retry-After")) || null;
  const failure = failureIn(body);
  if (failure) return asError(failure, wait);
  const why = `HTTP status ${status}, not by tricast`;
  if (status === 429) return new TooMany(why, wait);
  if (status === 503) return new Unavailable(why, wait);
  // Browsers hide where to, and even the status.
  return new ConnectFailed(status < 400 ? `redirected to ${headers.get("Location")}` : why);
}

export function asError(failure: Failure, retryAfter: number | null = null): CommandError {
  return commandError(failure.code, failure.message, failure.retry_after ?? retryAfter);
}

/** The error object that is this whole body, if it is one: JSON, whatever the format. */
export function failureIn(body: Uint8Array): Failure | null {
  const frame = frameIn(decode, body);
  return frame?.type === "error" ? frame : null;
}

function frameIn(read: Format["decodeAnswer"], body: Uint8Array): Frame | null {
  try {
    return read(body);
  } catch {
    return null;
  }
}

/** A text counts as UTF-8. */
export function byteLength(payload: string | Uint8Array): number {
  return (typeof payload === "string" ? new TextEncoder().encode(payload) : payload).length;
}

/** The server's answer. Throws TransportError where it is not the server's. */
function notSent(answer: Exchange): CommandError {
  const error = refusal(answer);
  if (error instanceof CommandError && (answer.status !== 503 || failureIn(answer.body))) return error;
  // A gateway may have passed it on.
  throw new (answer.status >= 500 ? ConnectionLost : UplinkBlocked)(error.message);
}

/** Throws ConnectionLost for what is no answer: who knows what became of the command. */
function answerIn(format: Format, body: Uint8Array): Answer {
  const frame = frameIn(format.decodeAnswer, body);
  if (frame?.type === "error") return asError(frame);
  if (frame?.type === "reply") return frame;
  throw new ConnectionLost(`no answer: ${textIn(body).slice(0, 80)}`);
}
