// npm `undici` as each of the three: prints every frame. Usage: node undici.mjs ws|sse|poll http://HOST:PORT QUERY
import { EventSource, WebSocket, fetch } from "undici";

const print = (event) => console.log(event.data);

const clients = {
  ws(url, query) {
    new WebSocket(`${url.replace("http", "ws")}/ws?${query}`).addEventListener("message", print);
  },
  sse(url, query) {
    const source = new EventSource(`${url}/sse?${query}`);
    setInterval(() => {}, 1000); // its timer for coming back does not keep a process alive
    for (const type of ["hello", "message", "gap", "heartbeat", "bye", "failure"]) {
      source.addEventListener(type, print);
    }
  },
  async poll(url, query) {
    let cursor = "";
    for (let n = 1; ; n++) {
      const response = await fetch(`${url}/poll?${query}&n=${n}${cursor && `&cursor=${cursor}`}`);
      if (!response.ok) throw new Error(`status ${response.status}`);
      const answer = await response.json();
      for (const frame of [answer.hello, ...answer.messages, answer.bye]) {
        if (frame) console.log(JSON.stringify(frame));
      }
      if (answer.bye) break;
      cursor = answer.cursor;
    }
  },
};

const [transport, url, query] = process.argv.slice(2);
await clients[transport](url, query);
