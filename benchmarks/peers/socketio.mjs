// Socket.IO: io.emit to all of "/" for each message published in the namespace "/publish"; "echo" comes back.
// Usage: node socketio.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
  pingInterval: 20_000,
  // The load answers pings over WebSocket, but does not when it polls.
  pingTimeout: 600_000,
});

io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
});
// In a namespace of its own, so that who publishes is not a subscriber too.
io.of("/publish").on("connection", (socket) => {
  socket.on("publish", (data, done) => {
    io.emit("message", data);
    done();
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1", 1024);
