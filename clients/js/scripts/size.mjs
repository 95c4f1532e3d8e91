/** node size.mjs [DIST]: what a page downloads for `import { connect }`, what it loads later, and what protobuf adds. */

import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/**
 * What a page comes to that imports names from modules, `{ connect: "dist/index.js" }`: chunks by name, as any app is
 * bundled and minified, their bytes, also gzipped. `initial`: those without `import()`.
 */
export async function sizes(imports) {
  const page = "page.js";
  const lines = Object.entries(imports).map(
    ([name, file]) => `import { ${name} } from ${JSON.stringify(resolve(file))}; globalThis.${name} = ${name};`,
  );
  const text = lines.join("\n");
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
  const dist = process.argv[2] ?? fileURLToPath(new URL("../dist", import.meta.url));
  const connect = join(dist, "index.js");
  console.table(await sizes({ connect }));
  console.log("With protobuf:");
  console.table(await sizes({ connect, protobuf: join(dist, "wire/protobuf.js") }));
}
