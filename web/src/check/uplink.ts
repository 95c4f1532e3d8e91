import { randomName } from "../random.ts";
import { now } from "./canary.ts";
import type { Uplink } from "./observation.ts";

/** Whether `POST /send` arrives: an echo to an inbox of our own, read back by a poll. Takes `seconds` at most. */
export async function checkUplink(url: URL, seconds: number): Promise<Uplink> {
  const inbox = `_inbox.${randomName(16)}`;
  const proof = randomName(8);
  // Reading back is a help, not the question: the POST gets most of the time.
  const cursor = (await poll(url, { topics: inbox }, seconds / 4))?.cursor ?? null;
  const start = now();
  const wrong = await post(url, { action: "echo", data: proof, reply_to: inbox }, seconds / 2);
  if (wrong !== null) return wrong;
  const roundTrip = now() - start;
  const query = { topics: inbox, cursor: cursor ?? "", wait: String(seconds / 8) };
  const batch = cursor === null ? null : await poll(url, query, seconds / 4);
  if (batch !== null && !batch.messages.some(({ data }) => data === proof))
    return blocked("POST /send is answered, but what it sent did not come back.");
  const isBack = batch !== null;
  const detail = isBack ? "What is sent by POST comes back." : "POST /send is answered; no poll could read it back.";
  return { verdict: "clean", detail, status: null, roundTrip, ownWord: false };
}

async function post(url: URL, command: unknown, seconds: number): Promise<Uplink | null> {
  let response: Response;
  let body: { type?: string; message?: string; code?: string };
  try {
    const signal = AbortSignal.timeout(seconds * 1000);
    response = await fetch(new URL("send", url), { method: "POST", body: JSON.stringify(command), signal });
    body = await response.json().catch(() => ({}));
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError")
      return blocked(`POST /send was not answered within ${seconds.toFixed(1)} s.`);
    return blocked("POST /send was refused; why, a browser is not told.");
  }
  if (body.type === "error") {
    const detail = `The server refuses POST /send: ${body.message} (${body.code}).`;
    return { verdict: "refused", detail, status: response.status, roundTrip: null, ownWord: true };
  }
  if (response.status !== 200 || body.type === undefined)
    return blocked(`POST /send was refused with HTTP status ${response.status}.`, response.status);
  return null;
}

const blocked = (detail: string, status: number | null = null): Uplink => ({
  verdict: "uplink_blocked",
  detail,
  status,
  roundTrip: null,
  ownWord: false,
});

interface Batch {
  readonly cursor: string;
  readonly messages: readonly { readonly data?: unknown }[];
}

async function poll(url: URL, query: Record<string, string>, seconds: number): Promise<Batch | null> {
  const address = new URL("poll", url);
  for (const [name, value] of Object.entries({ ...query, n: randomName(8) })) address.searchParams.set(name, value);
  try {
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(seconds * 1000) });
    const batch = await response.json();
    return response.ok && Array.isArray(batch.messages) && typeof batch.cursor === "string" ? batch : null;
  } catch {
    return null;
  }
}
