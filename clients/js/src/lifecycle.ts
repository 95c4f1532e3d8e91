/** What becomes of the page and its network: hidden, frozen, put by for later, offline, asleep. */

import type { Keeper } from "./keeper.js";

/** Seconds between two looks at the clock, and by how much it has to be off. */
const TICK = 5;
const JUMP = 10;
/** Seconds that a page has to be hidden for its links to be looked after. */
const HIDDEN = 5;
/** Seconds between two looks at a network that the browser says is away. */
const OFFLINE_RETRY = 15;

type Listener = (event: Event & { persisted?: boolean }) => void;

/** Follows them until `signal` aborts. Where there is no page, only the clock. */
export function followPage(keeper: Keeper, isOnline: () => Promise<boolean>, signal: AbortSignal): void {
  const on = (target: EventTarget | undefined, name: string, listener: Listener) =>
    target?.addEventListener?.(name, listener as EventListener, { signal });
  const page = globalThis.document as Document | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Of the chain of looks that goes on; null while the network is there. */
  let away: object | null = null;
  // Browsers may be wrong: they also say so where the server is on this machine.
  const look = async (chain: object) => {
    const online = await isOnline();
    if (away !== chain) return;
    if (online) keeper.resume("the server answers");
    else keeper.pause("the network is away");
    timer = setTimeout(look, OFFLINE_RETRY * 1000, chain);
  };
  const stop = () => {
    away = null;
    clearTimeout(timer);
  };
  on(globalThis, "offline", () => {
    stop();
    away = {};
    look(away);
  });
  on(globalThis, "online", () => {
    stop();
    keeper.hurry("the network is back");
  });
  // A page with open connections is not kept for the way back.
  on(globalThis, "pagehide", () => keeper.pause("the page is left"));
  on(globalThis, "pageshow", (event) => event.persisted && keeper.resume("the page is back"));
  on(page, "resume", () => keeper.check("the page was frozen"));
  let hiddenAt = 0;
  on(page, "visibilitychange", () => {
    if (page?.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt > HIDDEN * 1000) keeper.check("the page was hidden");
  });
  const clock = followClock(() => page?.hidden || keeper.check("the clock has jumped"));
  signal.addEventListener("abort", () => {
    stop();
    clearInterval(clock);
  });
}

/** Timers stand still while a machine sleeps, the time of day does not. */
function followClock(onJump: () => void): ReturnType<typeof setInterval> {
  let last = Date.now();
  const timer = setInterval(() => {
    const passed = Date.now() - last;
    last += passed;
    if (passed > (TICK + JUMP) * 1000) onJump();
  }, TICK * 1000);
  // It should not keep a program alive.
  (timer as { unref?: () => void }).unref?.();
  return timer;
}
