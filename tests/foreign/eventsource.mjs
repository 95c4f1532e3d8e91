// npm `eventsource`: prints the data of every event. Usage: node eventsource.mjs http://HOST:PORT QUERY
import { EventSource } from "eventsource";

const [url, query] = process.argv.slice(2);
const source = new EventSource(`${url}/sse?${query}`);
for (const type of ["hello", "message", "gap", "heartbeat", "bye", "failure"]) {
  source.addEventListener(type, (event) => console.log(event.data));
}
