/** SSE by code that not every page needs: it is loaded when such a link is opened. */

import { ConnectionLost } from "../errors.js";
import type { Request } from "../session.js";
import { within } from "../time.js";
import type { Batch, Frame } from "../wire/messages.js";
import { Link, type Target } from "./base.js";
import { SSELink } from "./sse.js";

/** Seconds for the code of sharing to come. A stream of one's own is as good, but for the connection that it takes. */
const SHARE_PATIENCE = 2;

/** A link whose frames come by another one, which `load` makes. Where that fails, connecting has failed. */
export class LateLink extends Link {
  readonly name = "sse";
  readonly #load: () => Promise<Link>;
  #link: Link | null = null;

  constructor(target: Target, load: () => Promise<Link>) {
    super(target);
    this.#load = load;
  }

  async *open(request: Request): AsyncGenerator<Frame | Batch, never> {
    const link = await this.connecting(this.#load);
    if (this.life.signal.aborted) throw new ConnectionLost("the link was closed");
    this.#link = link;
    const frames = link.open(request);
    try {
      for (;;) {
        const { value } = await frames.next();
        this.note(value);
        yield value;
      }
    } finally {
      this.reconnectAfter = link.reconnectAfter;
      this.close();
    }
  }

  override close(): void {
    super.close();
    this.#link?.close();
  }

  override check(): void {
    this.#link?.check();
  }

  protected override prod(): void {}
}

/** A link for SSE, of the kind that is asked for. */
export function eventLink(target: Target, byEventSource: boolean, share: boolean): Link {
  if (!byEventSource && !share) return new SSELink(target);
  return new LateLink(target, async () => {
    const Own = byEventSource ? (await import("./eventsource.js")).EventSourceLink : SSELink;
    const make = () => new Own(target);
    if (!share) return make();
    const load = () => import("../share.js").then(({ SharedLink }) => new SharedLink(target, make));
    return within(SHARE_PATIENCE, undefined, load).catch(make);
  });
}
