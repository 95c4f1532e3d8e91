// npm `ws`: prints the text of every frame. Usage: node ws.mjs http://HOST:PORT QUERY
import WebSocket from "ws";

const [url, query] = process.argv.slice(2);
const socket = new WebSocket(`${url.replace("http", "ws")}/ws?${query}`);
socket.on("message", (data, isBinary) => {
  if (isBinary) throw new Error("a binary frame");
  console.log(data.toString());
});
socket.on("close", (code) => process.exit(code === 1012 ? 0 : 1));
