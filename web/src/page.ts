import { Middlebox } from "./middlebox.ts";

/** Where this page finds what it talks to. */
export interface Page {
  /** The bus: that of the server itself, or what the middlebox makes of it. Ends with a slash. */
  readonly bus: URL;
  /** What breaks the network, where `tricast demo` serves this page. */
  readonly middlebox: Middlebox | null;
}

/** Asks the server that the page came from. Never rejects: without an answer there is no middlebox. */
export async function findPage(): Promise<Page> {
  const here = new URL(".", location.href);
  const ports = await settings(here);
  if (ports === null) return { bus: here, middlebox: null };
  return {
    bus: new URL(`http://${location.hostname}:${ports.bus}/`),
    middlebox: new Middlebox(new URL(`http://127.0.0.1:${ports.control}/`)),
  };
}

async function settings(here: URL): Promise<{ bus: number; control: number } | null> {
  try {
    const response = await fetch(new URL("page.json", here), { cache: "no-store" });
    const { middlebox } = await response.json();
    const { bus, control } = middlebox;
    return Number.isInteger(bus) && Number.isInteger(control) ? { bus, control } : null;
  } catch {
    return null;
  }
}
