// How long a client takes from the call that connects it to its first message from the server.
// Usage: node client.mjs KIND URL SECONDS, which prints {"took": SECONDS or null, "transport": "ws", "sse" or "poll",
// "said": the last error}. What has to be loaded is loaded before the clock starts.

const AGAIN = 5000; // as SignalR's documentation does when `start` fails

// Each makes ready, and gives the call that connects.
const kinds = {
  socketio: (url) => socketio(url, {}),
  "socketio-ws-first": (url) => socketio(url, { transports: ["websocket", "polling"], tryAllTransports: true }),

  async signalr(url) {
    const { HubConnectionBuilder, LogLevel } = await import("@microsoft/signalr");
    const hub = new HubConnectionBuilder().withUrl(`${url}/hub`).configureLogging(LogLevel.None).build();
    return (first, failed) => {
      hub.on("message", first);
      const start = () =>
        hub.start().catch((error) => {
          failed(error);
          setTimeout(start, AGAIN);
        });
      start();
    };
  },

  async tricast(url) {
    const { connect } = await import("../../clients/js/dist/index.js");
    const { WebSocket } = await import("ws");
    return (first, failed) => {
      const bus = connect(url, { topics: ["bench"], last: 1, WebSocket });
      bus.addEventListener("message", () => first(bus.transport));
      bus.opened.catch(failed);
    };
  },
};

async function socketio(url, options) {
  const { io } = await import("socket.io-client");
  return (first, failed) => {
    const socket = io(url, options);
    socket.on("message", first);
    socket.on("connect_error", failed);
  };
}

const NAMES = { websocket: "ws", polling: "poll", WebSockets: "ws", ServerSentEvents: "sse", LongPolling: "poll" };

const [kind, url, seconds] = process.argv.slice(2);
const connect = await kinds[kind](url);
await fetch("data:,"); // Node loads its fetch when it is first called.

let said = null;
let ended = false;
const end = (took, transport) => {
  if (ended) return;
  ended = true;
  process.stdout.write(`${JSON.stringify({ took, transport, said })}\n`, () => process.exit(0));
};
const failed = (error) => {
  said = String(error?.message ?? error);
};
// What a library throws out of its own callbacks would not end a page either.
process.on("uncaughtException", failed);
process.on("unhandledRejection", failed);
setTimeout(() => end(null, null), 1000 * Number(seconds));
const start = performance.now();
connect((transport) => end((performance.now() - start) / 1000, NAMES[transport] ?? transport), failed);
