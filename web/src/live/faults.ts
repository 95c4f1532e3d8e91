import { describe, type Middlebox, type MiddleboxState } from "../middlebox.ts";
import { byId, element, write } from "../ui/dom.ts";

const CUSTOM = "of its own kind";

interface Fault {
  readonly label: string;
  readonly isOn: (faults: MiddleboxState["faults"]) => boolean;
  readonly on: (box: Middlebox) => Promise<MiddleboxState>;
  readonly off: (box: Middlebox) => Promise<MiddleboxState>;
}

/** Those with a button that stays pressed. What would only concern new connections ends the open ones too. */
const FAULTS: Readonly<Record<string, Fault>> = {
  refuse: {
    label: "Refuse WebSocket",
    isOn: ({ refuse_upgrade }) => refuse_upgrade !== undefined,
    on: (box) => box.merge({ refuse_upgrade: 403 }).then(() => box.cut("ws")),
    off: (box) => box.merge({ refuse_upgrade: null }),
  },
  buffer: {
    label: "Buffer streams",
    isOn: ({ sse_hold_headers }) => sse_hold_headers === true,
    on: (box) => box.merge({ sse_hold_headers: true }).then(() => box.cut("sse")),
    off: (box) => box.merge({ sse_hold_headers: null }),
  },
  blackhole: {
    label: "Blackhole",
    isOn: ({ blackhole }) => blackhole === true,
    on: (box) => box.merge({ blackhole: true }),
    off: (box) => box.merge({ blackhole: null }),
  },
};

/** The buttons that break the network. `done` is told what the user did, `state` what the middlebox is after it. */
export function startFaults(
  box: Middlebox,
  done: (text: string) => void,
  state: (state: MiddleboxState) => void,
  failed: (why: string) => void,
): void {
  const select = byId<HTMLSelectElement>("preset");
  const buttons = document.querySelectorAll<HTMLButtonElement>("[data-fault]");
  byId("unbreakable").hidden = true;
  byId("break").hidden = false;

  const show = (now: MiddleboxState) => {
    if (select.options.length === 0) fill(select, now);
    select.value = now.preset ?? CUSTOM;
    write(byId("about"), about(now));
    for (const button of buttons) {
      const fault = FAULTS[button.dataset.fault ?? ""];
      if (fault) button.setAttribute("aria-pressed", String(fault.isOn(now.faults)));
    }
    state(now);
  };
  const act = async (text: string, action: Promise<MiddleboxState>) => {
    done(text);
    try {
      show(await action);
    } catch (error) {
      failed(`The middlebox did not do it: ${error instanceof Error ? error.message : error}`);
    }
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const name = button.dataset.fault ?? "";
      const fault = FAULTS[name];
      if (name === "heal") void act("You healed the network.", box.heal());
      else if (name === "cut") void act("You cut all connections.", box.cut());
      else if (fault === undefined) return;
      else if (button.getAttribute("aria-pressed") === "true")
        void act(`You took back: ${fault.label.toLowerCase().replace("websocket", "WebSocket")}.`, fault.off(box));
      else void act(`You pressed: ${fault.label}.`, fault.on(box));
    });
  }
  select.addEventListener("change", () => {
    if (select.value === CUSTOM) return;
    void act(
      `You put the bus behind: ${select.value}.`,
      box.preset(select.value).then(() => box.cut()),
    );
  });
  void box.state().then(show, () => failed("The middlebox does not answer."));
}

function fill(select: HTMLSelectElement, { presets }: MiddleboxState): void {
  const options = Object.keys(presets).map((name) => element("option", { value: name }, name.replaceAll("-", " ")));
  select.append(...options, element("option", { value: CUSTOM, disabled: true }, "a mixture"));
}

function about({ preset, presets }: MiddleboxState): string {
  if (preset === null) return "Several faults at once.";
  return describe(presets[preset]?.about ?? "");
}
