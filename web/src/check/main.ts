import "../styles/base.css";
import "../styles/check.css";
import { describe, type Middlebox, type MiddleboxState } from "../middlebox.ts";
import { findPage } from "../page.ts";
import { copy } from "../ui/copy.ts";
import { byId, element, write } from "../ui/dom.ts";
import { startTheme } from "../ui/theme.ts";
import { NAMES, TRANSPORTS } from "../ui/transports.ts";
import { now } from "./canary.ts";
import { isUsable, WORDS } from "./observation.ts";
import { Picture } from "./picture.ts";
import { LONG, probe } from "./probe.ts";
import type { Report } from "./report.ts";

startTheme();
void start();

async function start(): Promise<void> {
  const picture = new Picture();
  const button = byId<HTMLButtonElement>("start");
  const page = await findPage();
  if (page.middlebox !== null) void startPretending(page.middlebox);
  let report: Report | null = null;

  byId("run").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const isLong = byId<HTMLInputElement>("long").checked;
    write(byId("status"), "Checking …");
    byId("outcome").hidden = true;
    picture.begin(now());
    report = await probe(page.bus, isLong, {
      arrival: (name, { arrived }) => picture.dot(name, arrived),
      found: ({ transport, verdict }) => picture.judge(transport, verdict),
      uplink: () => {},
      long: () => write(byId("status"), `Now watching for ${LONG} s whether connections are cut …`),
    });
    for (const name of TRANSPORTS) picture.judge(name, report.findings[name].verdict);
    const cuts = isLong ? "" : " What cuts connections later is not seen in so short a time: tick the box for that.";
    write(byId("status"), `Checked in ${report.took.toFixed(1)} s.${cuts}`);
    show(report);
    button.disabled = false;
    write(button, "Check again");
  });
  button.disabled = false; // a press before there is somebody to hear it would send the form

  const copied = async (text: string) => {
    write(byId("copied"), (await copy(text)) ? "Copied" : "Could not copy");
    setTimeout(() => write(byId("copied"), ""), 3000);
  };
  byId("copy-text").addEventListener("click", () => report && copied(report.toText()));
  byId("copy-json").addEventListener("click", () => report && copied(JSON.stringify(report, null, 2)));
}

/** With the middlebox of `tricast demo` one can see how each of its networks is judged. */
async function startPretending(box: Middlebox): Promise<void> {
  const select = byId<HTMLSelectElement>("preset");
  const show = (state: MiddleboxState) => {
    if (select.options.length === 0)
      select.append(
        ...Object.keys(state.presets).map((name) => element("option", { value: name }, name.replaceAll("-", " "))),
        element("option", { value: "", disabled: true }, "a mixture"),
      );
    select.value = state.preset ?? "";
  };
  select.addEventListener("change", () => {
    box.preset(select.value).then(
      ({ presets, preset }) => write(byId("status"), describe(presets[preset ?? ""]?.about ?? "")),
      (error) => write(byId("status"), `The middlebox did not do it: ${error.message}`),
    );
  });
  try {
    show(await box.state());
    byId("pretend").hidden = false;
  } catch {
    // It has gone: without it there is nothing to pretend.
  }
}

function show(report: Report): void {
  byId("outcome").hidden = false;
  write(byId("headline"), report.headline);
  const order = report.order.map(({ transport, reason }) =>
    element(
      "li",
      { "data-via": transport },
      element("div", {}, element("b", {}, NAMES[transport]), element("span", {}, reason)),
    ),
  );
  byId("order").replaceChildren(...order);
  write(byId("times"), order.length === 0 ? "No transport can be recommended here." : report.times);
  byId("seen").replaceChildren(...seen(report));
  byId("details").replaceChildren(
    ...TRANSPORTS.map((name) => {
      const { verdict, detail, idlePassed } = report.findings[name];
      const idle = idlePassed === null ? "" : ` ${idlePassed.toFixed(0)} s without traffic were no trouble.`;
      return detailed(NAMES[name], WORDS[verdict], detail + idle, isUsable(verdict));
    }),
    detailed("POST /send", WORDS[report.uplink.verdict], report.uplink.detail, report.uplink.verdict === "clean"),
  );
  byId("rows").replaceChildren(...TRANSPORTS.map((name) => row(report, name)));
  byId("advice-card").hidden = report.advice.length === 0;
  byId("advice").replaceChildren(...report.advice.map((line) => element("li", {}, line)));
}

function detailed(name: string, word: string, detail: string, isFine: boolean): HTMLElement {
  const verdict = element("b", { class: isFine ? "" : "bad" }, `${word}. `);
  return element(
    "li",
    {},
    element("span", { class: "soft" }, name),
    element("span", {}, word === "clean" ? "" : verdict, detail),
  );
}

function seen({ seen }: Report): HTMLElement[] {
  if (seen === null)
    return [element("dt", {}, "not at all"), element("dd", {}, "no request brought back what the server saw")];
  const lines: [string, string][] = [
    ["address", String(seen.address ?? "–")],
    ["HTTP", String(seen.http ?? "–")],
    ["host", String(seen.host ?? "–")],
  ];
  for (const [name, values] of Object.entries(seen.headers ?? {}))
    if (name !== "Upgrade" && name !== "Connection")
      lines.push([name, Array.isArray(values) ? values.join(", ") : String(values)]);
  return lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", { class: "mono" }, value)]);
}

function row(report: Report, name: (typeof TRANSPORTS)[number]): HTMLElement {
  const { figures } = report.findings[name];
  const ms = (seconds: number | null) => element("td", {}, seconds === null ? "–" : (seconds * 1000).toFixed(1));
  return element(
    "tr",
    {},
    element(
      "th",
      { scope: "row" },
      element("span", { class: "key", "data-via": name }, element("i", { class: "dot" }), NAMES[name]),
    ),
    ms(figures.opened),
    ms(figures.first_frame),
    ms(figures.delay_max),
    ms(figures.round_trip),
    element("td", {}, `${figures.frames} of ${figures.expected}`),
  );
}
