import { byId } from "./dom.ts";

const KEY = "tricast-theme";
const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

const isDark = (): boolean => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

/** Call it first: the theme that was chosen before, and the button that changes it. */
export function startTheme(): void {
  const saved = read();
  if (saved !== null) root.dataset.theme = saved;
  const button = byId("theme");
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    for (const tell of listeners) tell();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    save(root.dataset.theme);
    show();
  });
  prefersDark.addEventListener("change", show);
  show();
}

/** For what is painted with colours of its own, as plots are. */
export function onTheme(tell: () => void): void {
  listeners.add(tell);
}

let probe: HTMLElement | undefined;

/** What a custom property such as `--ws` is in the theme of now. */
export function colour(name: string): string {
  if (probe === undefined) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

// Storage is forbidden in some browsers; then the choice lasts for the page.
function read(): "light" | "dark" | null {
  try {
    const saved = localStorage.getItem(KEY);
    return saved === "light" || saved === "dark" ? saved : null;
  } catch {
    return null;
  }
}

function save(theme: string): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // see above
  }
}
