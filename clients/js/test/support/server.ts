/** A real `tricast serve`, and a real `tricast middlebox` before it, as processes of their own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const LOCAL = fileURLToPath(new URL("../../../../.venv/bin/tricast", import.meta.url));
const COMMAND = process.env.TRICAST_COMMAND ?? (existsSync(LOCAL) ? LOCAL : "tricast");
/** Milliseconds. */
const PATIENCE = 20_000;

/** A `tricast` sub-command that answers HTTP, on a port that stays the same over a restart. */
class Program {
  #process: ChildProcess | null = null;
  #output = "";

  constructor(
    readonly args: string[],
    readonly health: string,
  ) {}

  async start(): Promise<void> {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TRICAST_")));
    this.#process = spawn(COMMAND, this.args, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on("data", (data) => {
        this.#output += data;
      });
    }
    const until = Date.now() + PATIENCE;
    while (!(await answers(this.health))) {
      if (this.#process.exitCode !== null || Date.now() > until) throw new Error(`no start: ${this.#output}`);
      await sleep(50);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (!running || running.exitCode !== null) return;
    const ended = once(running, "exit");
    running.kill(signal);
    await ended;
  }
}

export class Server extends Program {
  private constructor(
    readonly port: number,
    options: string[],
  ) {
    super(["serve", "--port", `${port}`, ...options], `http://127.0.0.1:${port}/healthz`);
  }

  static async start(...options: string[]): Promise<Server> {
    const server = new Server(await unusedPort(), options);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async connections(): Promise<Record<string, number>> {
    const stats = (await (await fetch(`${this.url}/stats`)).json()) as { connections: Record<string, number> };
    return stats.connections;
  }

  /** Appends a message, past any proxy. */
  async publish(topic: string, data: unknown): Promise<void> {
    const body = JSON.stringify({ action: "publish", topic, data });
    const response = await fetch(`${this.url}/send`, { method: "POST", body });
    if (!response.ok) throw new Error(await response.text());
    await response.text();
  }
}

export class Middlebox extends Program {
  private constructor(
    readonly port: number,
    readonly control: number,
    upstream: Server,
  ) {
    const listen = ["--listen", `127.0.0.1:${port}`, "--upstream", upstream.url, "--control", `${control}`];
    super(["middlebox", ...listen], `http://127.0.0.1:${control}/`);
  }

  static async start(upstream: Server): Promise<Middlebox> {
    const box = new Middlebox(await unusedPort(), await unusedPort(), upstream);
    await box.start();
    return box;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** "/presets/NAME", "/faults", "/cut?kind=ws"; see the middlebox's control API. */
  async set(path: string, method = "POST", faults?: unknown): Promise<void> {
    const init = { method, ...(faults === undefined ? {} : { body: JSON.stringify(faults) }) };
    const response = await fetch(`http://127.0.0.1:${this.control}${path}`, init);
    if (!response.ok) throw new Error(await response.text());
    await response.text();
  }

  async clear(): Promise<void> {
    await this.set("/faults", "DELETE");
    await this.set("/cut");
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).text();
    return true;
  } catch {
    return false;
  }
}

/** Below the ports that outgoing connections get, so that nothing takes it while its server is away. */
async function unusedPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = createServer().listen(port, "127.0.0.1");
    const free = await Promise.race([
      once(probe, "listening").then(() => true),
      once(probe, "error").then(() => false),
    ]);
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}
