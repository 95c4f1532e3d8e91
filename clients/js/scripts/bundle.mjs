/** node bundle.mjs ENTRY FILE: ENTRY with what it needs, for a page without any tools; what it loads later lies beside. */

import { basename, dirname, resolve } from "node:path";
import { rolldown } from "rolldown";

const [entry, file] = process.argv.slice(2);
const bundle = await rolldown({ input: resolve(entry), transform: { target: "es2022" } });
await bundle.write({ dir: dirname(resolve(file)), entryFileNames: basename(file), format: "esm" });
await bundle.close();
