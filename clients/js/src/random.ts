/** A name of so many random bytes, in hexadecimal digits. */
export function randomName(bytes: number): string {
  // Not randomUUID, which pages have only over https.
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
