import "../styles/base.css";
import "../styles/live.css";
import type { Message, TransportName } from "@tricast/client";
import type { MiddleboxState } from "../middlebox.ts";
import { findPage } from "../page.ts";
import { byId, choose, chosen, write } from "../ui/dom.ts";
import { duration, joined } from "../ui/format.ts";
import { startTheme } from "../ui/theme.ts";
import { isTransport, NAMES } from "../ui/transports.ts";
import { startFaults } from "./faults.ts";
import { showFigures, type Traffic, trafficOf } from "./figures.ts";
import { Flow, type FlowData, flowData } from "./flow.ts";
import { History } from "./history.ts";
import { claim, keep, newClient, restore, unclaim } from "./kept.ts";
import { LatencyPlot } from "./latency.ts";
import { Ledger } from "./ledger.ts";
import { Line, type Mode } from "./line.ts";
import { Messages } from "./messages.ts";
import { startPen } from "./pen.ts";
import { Strip } from "./strip.ts";

const DRAW_MS = 200;
const COUNTERS_MS = 2000;
const SAVE_MS = 500;
/** Seconds without a message of its own after which the page says so. */
const SILENCE_S = 3;
const TOPIC = /^(?=.{1,128}$)[\w:-]+(\.[\w:-]+)*$/;

startTheme();
void start();

async function start(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const [page, kept] = await Promise.all([findPage(), restore()]);
  const topic = TOPIC.test(asked.get("topic") ?? "") ? (asked.get("topic") as string) : "lobby";
  // Of another topic nothing is carried on, but the name.
  const resumed = kept?.topic === topic ? kept : null;
  const client = kept?.client ?? newClient();
  if (kept === null) void claim(client);

  const via = asked.get("via") ?? "auto";
  const first: Mode = resumed?.mode ?? (isTransport(via) ? via : "auto");
  const ledger = resumed?.ledger ?? new Ledger();
  const mine = new Set<string>(); // the series of this load of the page, whose clock is ours
  const messages = new Messages(byId("messages"), client);
  const history = new History();
  const strip = new Strip(byId("strip"));
  const plot = new LatencyPlot(byId("plot"));
  let gaps = 0;
  let latency: number | null = null;
  let latestSaid: { text: string; at: number } | null = null;
  let isOver = false;
  let blocked = "";
  let heardAt = performance.now();
  let isSilent = false;

  write(byId("topic-name"), topic);
  choose("mode", first);
  if (resumed) history.say(`The page was loaded again and goes on at ${resumed.cursor ?? "the end"}.`);

  const line = new Line(
    { url: page.bus, topic, client, cursor: resumed?.cursor ?? null, mode: first },
    {
      message: (message, transport, isAgain) => {
        heardAt = performance.now();
        const numbered = flowData(message.data);
        ledger.take(numbered, isAgain);
        if (message.from === client) measure(message, numbered, transport);
        messages.add(message, transport);
      },
      gap: (gap) => {
        gaps++;
        ledger.forget();
        flow.renew();
        messages.gap(gap);
        history.say(`The bus tells of a gap: ${gap.reason}.`, "bad");
      },
      transport: (transport) => {
        strip.carry(transport);
        showState(transport);
      },
      record: (bus, record, mode) => history.record(bus, record, mode),
      uplink: (isBlocked) => {
        blocked = isBlocked ? "receives, but nothing can be sent from here" : "";
        write(byId("detail"), blocked);
      },
      switched: (mode) => {
        isOver = false;
        showState(line.transport);
        choose("mode", mode);
        write(byId("detail"), blocked);
      },
      stayed: (wanted, mode, why) => {
        choose("mode", mode);
        const stays = mode === "auto" ? "Auto" : NAMES[mode];
        write(byId("detail"), `${label(wanted)} did not open; ${stays} goes on.`);
        history.say(`${label(wanted)} did not open, so ${stays} goes on. ${why.split("\n")[0]}`, "bad");
      },
      ended: (why) => {
        isOver = true;
        strip.carry(null);
        document.body.dataset.via = "none";
        write(byId("state"), "The server refused");
        write(byId("detail"), why);
        history.say(`The bus has ended: ${why}`, "bad");
      },
    },
  );

  const flow = new Flow({
    publish: (data) => line.publish(data),
    begin: (series) => {
      mine.add(series);
      ledger.begin(series);
    },
    failed: (error) =>
      history.say(`Something could not be published: ${error instanceof Error ? error.message : error}`, "bad"),
  });

  function measure(message: Message, numbered: FlowData | null, transport: TransportName): void {
    const now = performance.now();
    if (numbered !== null && mine.has(numbered.series)) latency = now - numbered.sent;
    else if (latestSaid !== null && message.data === latestSaid.text) {
      latency = now - latestSaid.at;
      write(byId("sent"), `Back over ${NAMES[transport]} after ${joined(duration(latency))}`);
      latestSaid = null;
    } else return;
    plot.add(latency, transport);
  }

  function showState(transport: TransportName | null): void {
    if (isOver) return;
    document.body.dataset.via = transport ?? "none";
    write(byId("state"), transport === null ? "Nothing carries: looking for a way" : `${NAMES[transport]} carries`);
  }

  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name="mode"]')) {
    radio.addEventListener("change", () => {
      const mode = chosen("mode") as Mode;
      history.you(`You chose ${label(mode)}.`);
      strip.mark(label(mode));
      write(byId("detail"), `Opening ${label(mode)} …`);
      line.select(mode);
    });
  }
  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name="rate"]'))
    radio.addEventListener("change", () => setRate(Number(chosen("rate"))));
  function setRate(perSecond: number): void {
    flow.rate = perSecond;
    heardAt = performance.now();
    choose("rate", String(perSecond));
  }
  if (asked.has("flow")) setRate(Number(asked.get("flow")) || 0);

  startPen(async (said) => {
    latestSaid = { text: said, at: performance.now() };
    await line.publish(said);
  });
  byId("clear").addEventListener("click", () => messages.clear());

  let counted: Traffic | null = null;
  if (page.middlebox !== null) {
    const { middlebox } = page;
    write(byId("counted"), "Bytes are counted at the middlebox, with headers and frames, of all pages that use it.");
    const take = (state: MiddleboxState) => {
      counted = trafficOf(state);
    };
    const you = (what: string) => {
      history.you(what);
      strip.mark(what);
    };
    startFaults(middlebox, you, take, (why) => history.say(why, "bad"));
    setInterval(() => void middlebox.state().then(take, () => {}), COUNTERS_MS);
  }

  /** While this page publishes something, it should hear something: a dead link is seen here before it is given up. */
  function showSilence(): void {
    const seconds = Math.floor((performance.now() - heardAt) / 1000);
    const wasSilent = isSilent;
    isSilent = flow.rate >= 1 && seconds >= SILENCE_S && !isOver;
    if (isSilent) write(byId("detail"), `nothing has come for ${seconds} s`);
    else if (wasSilent) write(byId("detail"), blocked);
  }

  function draw(): void {
    showSilence();
    const { received, sent } = line.bytes;
    const traffic = counted ?? { down: received, up: sent };
    const published = flow.rate === 0 ? null : flow.achieved;
    showFigures({ counts: ledger.counts, gaps, latency, traffic, published });
    strip.draw();
    write(byId("summary"), strip.summary());
    plot.draw();
  }
  setInterval(() => document.visibilityState === "visible" && draw(), DRAW_MS);
  draw();

  const save = () => keep({ client, topic, cursor: line.cursor, mode: line.mode, ledger });
  // Browsers may run `pagehide` when the next page has already begun, so that one must not depend on it.
  setInterval(save, SAVE_MS);
  addEventListener("pagehide", () => {
    save();
    unclaim();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    void claim(client);
    history.say("The page came back from where the browser had kept it.");
  });
}

const label = (mode: Mode): string => (mode === "auto" ? "Auto" : NAMES[mode]);
