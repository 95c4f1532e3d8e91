import type { TransportName } from "@tricast/client";

/** The best first; the same everywhere. */
export const TRANSPORTS: readonly TransportName[] = ["ws", "sse", "poll"];

/** For headings and labels. */
export const NAMES: Readonly<Record<TransportName, string>> = {
  ws: "WebSocket",
  sse: "Server-Sent Events",
  poll: "Long polling",
};

/** Where there is little room. */
export const SHORT: Readonly<Record<TransportName, string>> = { ws: "WebSocket", sse: "SSE", poll: "Long poll" };

export const isTransport = (text: unknown): text is TransportName => TRANSPORTS.includes(text as TransportName);
