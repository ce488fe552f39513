const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** Members of all objects in a parsed value. */
function members(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) count += members(item);
    return count;
  }
  const object = value as Record<string, unknown>;
  for (const key in object) count += 1 + members(object[key]);
  return count;
}

/**
 * Whether a JSON text repeats a key in some object: it has more members than the value that was parsed from it.
 * Almost no text does, and to name the keys a second, slow reading is needed.
 */
export function hasDuplicates(json: Uint8Array, parsed: unknown): boolean {
  let written = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === colon) written++;
    else if (byte === quote) {
      for (at++; at < json.length && json[at] !== quote; at++) if (json[at] === backslash) at++;
    }
  }
  return written !== members(parsed);
}
