// A Socket.IO server with its defaults, which has a message for each client at once and then every 20 ms. The message
// is the name of the transport that it goes by. Usage: node socketio.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);
io.on("connection", (socket) => {
  const send = () => socket.emit("message", socket.conn.transport.name);
  send();
  const timer = setInterval(send, 20);
  socket.on("disconnect", () => clearInterval(timer));
});
http.listen(Number(process.argv[2]), "127.0.0.1");
