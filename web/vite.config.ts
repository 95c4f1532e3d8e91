import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Nothing is drawn before the page's own script has run: no flash of the other theme, no half-filled page. */
function blockRendering(): Plugin {
  return {
    name: "block-rendering",
    transformIndexHtml: {
      order: "post",
      handler: (html) => html.replaceAll('<script type="module"', '<script blocking="render" type="module"'),
    },
  };
}

/** Puts what all pages share where they say `<!--head-->` and `<!--header-->`. */
function shell(): Plugin {
  const part = (name: string) => readFileSync(here(`src/ui/${name}.html`), "utf8").trimEnd();
  return {
    name: "shell",
    transformIndexHtml: {
      order: "pre",
      handler: (html, { filename }) => {
        const mine = `data-page="${basename(filename, ".html")}"`;
        const header = part("header").replace(mine, `${mine} aria-current="page"`);
        return html.replace("<!--head-->", part("head")).replace("<!--header-->", header);
      },
    },
  };
}

export default defineConfig({
  // The server may serve the pages under a prefix, so every address is relative to the page.
  base: "./",
  plugins: [shell(), blockRendering()],
  resolve: { alias: { "@tricast/client": here("../clients/js/src/index.ts") } },
  build: {
    // Where the server finds them, in a checkout as in a wheel.
    outDir: here("../server/tricast_server/web"),
    emptyOutDir: true,
    target: "es2022",
    // The polyfill would be an extra script for browsers that the pages do not support anyway.
    modulePreload: { polyfill: false },
    // An inlined font or picture would need `data:` in more places of the content policy.
    assetsInlineLimit: 0,
    rolldownOptions: { input: { index: here("index.html"), race: here("race.html"), check: here("check.html") } },
  },
});
