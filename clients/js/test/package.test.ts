/** What is published: its content, its size, its types, and that it can be imported. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sizes } from "../scripts/size.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Bytes, gzipped, of what a page downloads to connect. */
const SIZE_MAX = 16 * 1024;
/** What protobuf adds to it, with its library. */
const PROTOBUF_MAX = 20 * 1024;

let home: string;
let packed: { path: string }[];

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "tricast-"));
  const options = { cwd: ROOT, encoding: "utf8" as const, stdio: ["ignore", "pipe", "pipe"] as never };
  const [report] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", home], options),
  );
  packed = report.files;
  const modules = join(home, "node_modules/@tricast");
  mkdirSync(modules, { recursive: true });
  execFileSync("tar", ["-xzf", join(home, report.filename), "-C", home]);
  cpSync(join(home, "package"), join(modules, "client"), { recursive: true });
  writeFileSync(join(home, "package.json"), '{ "type": "module" }');
  for (const name of ["@types", "undici-types", "@bufbuild"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(home, "node_modules", name));
  }
});
afterAll(() => rmSync(home, { recursive: true }));

test("it holds what was built, what it was built from, and nothing else", () => {
  const paths = packed.map((file) => file.path);
  const strangers = paths.filter((path) => !/^(dist|src)\/.*\.ts$|^dist\/.*\.(js|map)$/.test(path));
  expect(strangers.sort()).toEqual(["LICENSE", "README.md", "package.json"]);
  for (const path of ["dist/index.js", "dist/index.d.ts", "dist/wire/protobuf.js", "src/index.ts"])
    expect(paths).toContain(path);
});

test("it depends on nothing", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.peerDependenciesMeta).toEqual({ "@bufbuild/protobuf": { optional: true }, ws: { optional: true } });
});

test("it can be imported from anywhere", () => {
  const script = `
    import { connect, ConnectFailed } from "@tricast/client";
    import { protobuf } from "@tricast/client/protobuf";
    console.log(typeof connect, new ConnectFailed("x").code, protobuf.name);`;
  const output = execFileSync("node", ["--input-type=module", "-e", script], { cwd: home, encoding: "utf8" });
  expect(output.trim()).toBe("function connect_failed protobuf");
});

const IN_A_PAGE = `
import { type Bus, connect, type Format, GapError, type Message, type Policy } from "@tricast/client";
import { protobuf } from "@tricast/client/protobuf";
const format: Format = protobuf;
const policy: Partial<Policy> = { proofTimeout: 1 };
const options = { topics: ["a"], policy, format, token: async () => "t", WebSocket, EventSource, fetch };
const bus: Bus = connect("/", { ...options, sse: "eventsource" });
bus.addEventListener("message", ({ detail }) => { const message: Message = detail; console.log(message.topic); });
bus.addEventListener("transport", ({ detail }) => console.log(detail.transport, detail.previous), { once: true });
await using other = connect(new URL("wss://example.org"), { onGap: "throw" });
try {
  for await (const item of other) if (item.type === "gap") console.log(item.reason); else console.log(item.data);
} catch (error) {
  if (error instanceof GapError) console.log(error.gap.cursor);
}
const at: string = await bus.publish("a", { n: 1 }, { id: "x", signal: new AbortController().signal });
// @ts-expect-error: no such transport
connect(at, { transports: ["pigeon"] });
// @ts-expect-error: no JSON
await bus.publish("a", new Date());`;

const IN_NODE = `
import { connect } from "@tricast/client";
import { protobuf } from "@tricast/client/protobuf";
import { WebSocket } from "ws";
const bus = connect("http://127.0.0.1:8080", { WebSocket, fetch, format: protobuf });
bus.addEventListener("gap", ({ detail }) => console.log(detail.reason));
for await (const item of bus) console.log(item.cursor);`;

test.each([
  ["a page", IN_A_PAGE, "es2022,dom,dom.iterable,esnext.disposable", ""],
  ["Node", IN_NODE, "es2022,esnext.disposable", "node"],
])("its types can be used strictly in %s", (name, text, lib, types) => {
  const file = `${name.replace(" ", "-")}.mts`;
  writeFileSync(join(home, file), text);
  const strict = ["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
  const target = ["--target", "es2022", "--module", "nodenext", "--lib", lib, "--types", types];
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  execFileSync("node", [tsc, ...strict, ...target, file], { cwd: home, stdio: "inherit" });
});

test("bundled and minified it is small", async () => {
  const dist = join(home, "node_modules/@tricast/client/dist");
  const imports = { connect: join(dist, "index.js") };
  const chunks = await sizes(imports);
  console.log(chunks.map(({ name, gzipped }) => `${name}: ${gzipped} bytes, gzipped`).join("\n"));
  // What not every page needs is loaded later.
  expect(chunks.filter((it) => !it.initial).map((it) => it.name)).toEqual(["eventsource", "share"]);
  const initial = initialOf(chunks);
  expect(initial).toBeGreaterThan(5000);
  expect(initial).toBeLessThan(SIZE_MAX);
  const added = initialOf(await sizes({ ...imports, protobuf: join(dist, "wire/protobuf.js") })) - initial;
  console.log(`protobuf: ${added} bytes more, gzipped`);
  expect(added).toBeGreaterThan(5000);
  expect(added).toBeLessThan(PROTOBUF_MAX);
});

function initialOf(chunks: Awaited<ReturnType<typeof sizes>>): number {
  return chunks.filter((it) => it.initial).reduce((sum, it) => sum + it.gzipped, 0);
}

test("who imports nothing gets nothing", async () => {
  const text = `
    import "@tricast/client";
    import { LocalStore } from "@tricast/client";
    import { protobuf } from "@tricast/client/protobuf";
    console.log(1);`;
  writeFileSync(join(home, "nothing.js"), text);
  const bundle = await rolldown({ input: join(home, "nothing.js"), cwd: home });
  const { output } = await bundle.generate({ minify: true });
  expect(output.map((it) => (it.type === "chunk" ? it.code.trim() : it.fileName))).toEqual(["console.log(1);"]);
});
