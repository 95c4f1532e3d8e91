/** Whether the server can be reached at all, whatever becomes of streams. */

import { within } from "./time.js";
import type { Target } from "./transports/base.js";

/**
 * Whether GET /healthz is answered within `timeout` seconds. A gateway's word that the server is down (5xx) is no
 * answer. Never rejects.
 */
export async function isOnline({ url, fetch }: Target, timeout: number): Promise<boolean> {
  try {
    return await within(timeout, undefined, async (signal) => {
      const address = new URL("healthz", url);
      return (await fetch(address, { cache: "no-store", redirect: "manual", signal })).status < 500;
    });
  } catch {
    return false;
  }
}
