import { randomName } from "../random.ts";
import { Ledger } from "./ledger.ts";
import type { Mode } from "./line.ts";

/** What a tab keeps over a reload, so that it goes on where it was. */
export interface KeptTab {
  readonly client: string;
  readonly topic: string;
  readonly cursor: string | null;
  readonly mode: Mode;
  readonly ledger: Ledger;
}

const KEY = "tricast-live";
/** A page that is left may take a moment to let go. */
const LOCK_PATIENCE_MS = 2500;

export const newClient = (): string => `web-${randomName(5)}`;

/** Null where there is nothing, or where another tab goes on with it: a duplicated tab has a copy of it. */
export async function restore(): Promise<KeptTab | null> {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (saved === null || !(await claim(saved.client))) return null;
    return { ...saved, ledger: Ledger.from(saved.ledger) };
  } catch {
    return null;
  }
}

export function keep(tab: KeptTab): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(tab));
  } catch {
    // Storage is forbidden or full: then a reload begins anew.
  }
}

let release: (() => void) | undefined;

/** Makes this tab the only one with this name. False if another one has it. */
export async function claim(client: string): Promise<boolean> {
  if (!("locks" in navigator)) return true; // only pages that came securely have locks
  return new Promise((decide) => {
    const options = { signal: AbortSignal.timeout(LOCK_PATIENCE_MS) };
    const held = () => {
      decide(true);
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    };
    navigator.locks.request(`${KEY}-${client}`, options, held).catch(() => decide(false));
  });
}

/** A page that holds a lock would not be kept for going back to it. */
export function unclaim(): void {
  release?.();
}
