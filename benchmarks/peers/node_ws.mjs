// The loop that one writes first with `ws`: client.send(data) for each. /ws, /echo; publish on /publish.
// Usage: node node_ws.mjs PORT
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const HEARTBEAT = 20_000;
const subscribers = new Set();

function pong() {
  this.alive = true;
}

const roles = {
  "/ws": (socket) => {
    subscribers.add(socket);
    socket.on("close", () => subscribers.delete(socket));
  },
  "/echo": (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  },
  "/publish": (socket) => {
    socket.on("message", (data) => {
      const text = data.toString();
      for (const subscriber of subscribers) subscriber.send(text);
      socket.send("ok");
    });
  },
};

const http = createServer((_, response) => response.writeHead(404).end());
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on("connection", (socket, request) => {
  const take = roles[request.url];
  if (!take) return socket.close();
  socket.alive = true;
  socket.on("pong", pong);
  socket.on("error", () => {});
  take(socket);
});
setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.alive) {
      socket.terminate();
      continue;
    }
    socket.alive = false;
    socket.ping();
  }
}, HEARTBEAT);
http.listen(Number(process.argv[2]), "127.0.0.1", 1024);
