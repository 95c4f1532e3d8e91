/** So many random bytes in hex. `crypto.randomUUID` would be missing on pages that came over plain http. */
export function randomName(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}
