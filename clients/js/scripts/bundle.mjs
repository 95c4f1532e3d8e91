/** node bundle.mjs ENTRY FILE: one module with all that ENTRY needs, for a page without any tools. */

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "vite";

const [entry, file] = process.argv.slice(2);
const { output } = await build({
  configFile: false,
  logLevel: "warn",
  build: {
    rolldownOptions: { input: resolve(entry), preserveEntrySignatures: "strict" },
    write: false,
    minify: false,
    target: "es2022",
    modulePreload: false,
  },
});
writeFileSync(file, output[0].code);
