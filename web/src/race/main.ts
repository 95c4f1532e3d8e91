import "../styles/base.css";
import "../styles/race.css";
import type { TransportName } from "@tricast/client";
import { findPage, type Page } from "../page.ts";
import { download } from "../ui/copy.ts";
import { byId, element, write } from "../ui/dom.ts";
import { count, duration, joined, rate } from "../ui/format.ts";
import { startTheme } from "../ui/theme.ts";
import { NAMES, TRANSPORTS } from "../ui/transports.ts";
import type { Lane } from "./lane.ts";
import { DistributionPlot } from "./plot.ts";
import { type LaneResult, Race, type Result, type Settings } from "./race.ts";

const RATES = [1, 2, 5, 10, 20, 50, 100, 200, 500] as const;
const SIZES = [128, 256, 512, 1024, 4096, 8192, 16384] as const;
const DRAW_MS = 250;

startTheme();
void start();

async function start(): Promise<void> {
  const plot = new DistributionPlot(byId("plot"), TRANSPORTS);
  const rateInput = byId<HTMLInputElement>("rate");
  const sizeInput = byId<HTMLInputElement>("size");
  const button = byId<HTMLButtonElement>("start");
  const save = byId<HTMLButtonElement>("download");
  let race: Race | null = null;
  let last: Result | null = null;

  const settings = (): Settings => ({
    rate: RATES[Number(rateInput.value)] ?? 50,
    size: SIZES[Number(sizeInput.value)] ?? 128,
    seconds: Number(byId<HTMLSelectElement>("length").value),
  });
  const show = () => {
    const { rate, size } = settings();
    const shown: [HTMLInputElement, string, string][] = [
      [rateInput, "rate-shown", rate === 1 ? "1 message/s" : `${rate} messages/s`],
      [sizeInput, "size-shown", size < 1024 ? `${size} bytes` : `${size / 1024} KiB`],
    ];
    for (const [input, id, text] of shown) {
      write(byId(id), text);
      input.setAttribute("aria-valuetext", text);
    }
  };
  rateInput.addEventListener("input", show);
  sizeInput.addEventListener("input", show);
  show();
  showRows(null);

  const page = await findPage();
  if (page.middlebox !== null)
    write(
      byId("counted"),
      "Bytes and requests are counted at the middlebox, with all headers and frames, both ways together. What publishing costs is not among them.",
    );

  byId("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    if (race === null) void run(page);
    else race.stop();
  });
  save.addEventListener("click", () => {
    if (last !== null)
      download(`tricast-race-${last.at.slice(0, 19).replaceAll(":", "-")}.json`, JSON.stringify(last, null, 2));
  });

  async function run(page: Page): Promise<void> {
    const chosen = settings();
    const mine = new Race(page, chosen);
    race = mine;
    let began = 0;
    let phase = "opening";
    write(button, "Stop");
    save.disabled = true;
    byId("empty").hidden = true;
    showRows(null);
    const draw = () => {
      const passed = began === 0 ? 0 : (performance.now() - began) / 1000;
      const length = chosen.seconds >= 600 ? "" : ` of ${chosen.seconds}`;
      if (phase === "running")
        write(
          byId("status"),
          `Running: ${Math.floor(passed)}${length} s, ${count(mine.published)} messages published.`,
        );
      byId<HTMLProgressElement>("progress").value = chosen.seconds >= 600 ? 0 : Math.min(1, passed / chosen.seconds);
      mine.lanes.forEach(showLane);
      plot.draw(mine.lanes);
    };
    const timer = setInterval(draw, DRAW_MS);
    try {
      const result = await mine.run((now) => {
        phase = now;
        if (now === "running") began = performance.now();
        if (now === "opening") write(byId("status"), "Opening all three …");
        if (now === "warming up") write(byId("status"), "Warming up for a second …");
      });
      draw();
      write(
        byId("status"),
        result === null
          ? "Stopped before anything counted."
          : `Done: ${count(result.published)} messages over each transport.`,
      );
      if (result !== null) {
        last = result;
        save.disabled = false;
        showRows(result);
      }
    } catch (error) {
      write(byId("status"), `The race could not be run: ${error instanceof Error ? error.message : error}`);
    }
    clearInterval(timer);
    byId<HTMLProgressElement>("progress").value = last === null ? 0 : 1;
    write(button, "Start");
    race = null;
  }
}

function showLane(lane: Lane): void {
  const card = byId(`lane-${lane.transport}`);
  const [median, rest] = [card.querySelector("b"), card.querySelector<HTMLElement>(".rest")];
  if (median === null || rest === null) return;
  const value = lane.samples.quantile(0.5);
  write(median, value === null ? "–" : joined(duration(value)));
  if (lane.trouble !== null) write(rest, `Out of the race: ${lane.trouble}`);
  else if (value === null) write(rest, lane.bus.transport === null ? "Opening" : "Open");
  else {
    const p99 = joined(duration(lane.samples.quantile(0.99) ?? 0));
    write(rest, `p99 ${p99} · ${lane.rate === null ? "–" : rate(lane.rate)} messages/s`);
  }
}

function showRows(result: Result | null): void {
  byId("rows").replaceChildren(...TRANSPORTS.map((name) => row(name, result?.transports[name] ?? null)));
  const asked = result?.settings.rate ?? 0;
  write(
    byId("offered"),
    result === null
      ? "Latencies in milliseconds."
      : `Latencies in milliseconds. Asked for ${asked} messages/s, reached ${rate(result.publishedPerSecond)}; ${result.settings.size} bytes each; ${rate(result.messagesPerRequestOfPublisher)} messages per publishing request${result.publishFailed === 0 ? "" : `; ${count(result.publishFailed)} could not be published`}.`,
  );
}

function row(name: TransportName, lane: LaneResult | null): HTMLElement {
  const cell = (value: number | null | undefined, digits: number) =>
    element("td", {}, value === null || value === undefined ? "–" : value.toFixed(digits));
  const key = element("span", { class: "key", "data-via": name }, element("i", { class: "dot" }), NAMES[name]);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, key),
    cell(lane?.median, 1),
    cell(lane?.p95, 1),
    cell(lane?.p99, 1),
    cell(lane?.max, 1),
    cell(lane?.messagesPerSecond, 1),
    cell(lane?.bytesPerMessage, 0),
    cell(lane?.requestsPerMessage, 2),
    element("td", {}, lane === null ? "–" : count(lane.samples)),
  );
}
