/** node size.mjs [ENTRY]: what a page downloads for `import { connect } from ENTRY`, and what it loads later. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** Chunks by name, as any app is bundled and minified: their bytes, also gzipped. `initial`: those without `import()`. */
export async function sizes(entry) {
  const page = "page.js";
  const text = `import { connect } from ${JSON.stringify(resolve(entry))}; globalThis.connect = connect;`;
  const plugin = {
    name: "page",
    resolveId: (id) => (id === page ? id : null),
    load: (id) => (id === page ? text : null),
  };
  const bundle = await rolldown({ input: page, plugins: [plugin], transform: { target: "es2022" } });
  const { output } = await bundle.generate({ minify: true, format: "esm" });
  await bundle.close();
  const initial = new Set([page]);
  for (const name of initial) for (const other of output.find((it) => it.fileName === name).imports) initial.add(other);
  return output.map(({ fileName, name, code }) => ({
    name,
    initial: initial.has(fileName),
    bytes: code.length,
    gzipped: gzipSync(code, { level: 9 }).length,
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.table(await sizes(process.argv[2] ?? fileURLToPath(new URL("../dist/index.js", import.meta.url))));
}
