import { readFileSync } from "node:fs";
import { describe, test } from "vitest";
import { casesOf, FILES } from "./vectors.js";

describe.each(FILES)("%s", (file) => {
  const path = new URL(`../../../tests/vectors/${file}`, import.meta.url);
  test.each(casesOf(file, JSON.parse(readFileSync(path, "utf8"))))("%s", (_, run) => run());
});
