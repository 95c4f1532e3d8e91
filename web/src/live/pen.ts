import { byId, write } from "../ui/dom.ts";

const SENDING = "Sending …";

/** The line in which a person writes. What could not be sent comes back into it. */
export function startPen(publish: (text: string) => Promise<void>): void {
  const input = byId<HTMLInputElement>("text");
  const outcome = byId("sent");
  byId("pen").addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = input.value;
    if (said.trim() === "") return;
    write(outcome, SENDING);
    input.value = "";
    try {
      await publish(said);
      // Its delivery may have come first, and says more.
      if (outcome.textContent === SENDING) write(outcome, "Sent");
    } catch (error) {
      write(outcome, `Not sent: ${error instanceof Error ? error.message : error}. Try again.`);
      if (input.value === "") input.value = said;
    }
  });
}
