/** Walks and order of names as this package writes them: presentation form, lower case, no dot at the end, root ''. */

/** Where the next label begins after `start`, or one past the name's length when there is none. */
export function nextLabel(name: string, start: number): number {
  for (let i = start; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0x5c) i += 1;
    else if (code === 0x2e) return i + 1;
  }
  return name.length + 1;
}

/** `*.parent`; the root's is `*`. */
export function wildcardOf(parent: string): string {
  return parent === '' ? '*' : `*.${parent}`;
}

/**
 * A string that sorts, by code units, as RFC 4034 section 6.1 orders names: labels from the last to the first, each
 * compared by its octets, a shorter one first.
 */
export function canonicalKey(name: string): string {
  const starts: number[] = [];
  for (let start = 0; start < name.length; start = nextLabel(name, start)) starts.push(start);
  let key = '';
  for (let i = starts.length - 1; i >= 0; i--) {
    const end = i + 1 < starts.length ? (starts[i + 1] as number) - 1 : name.length;
    key += `${shifted(name, starts[i] as number, end)}\0`;
  }
  return key;
}

/** A label's octets, each one higher, so that \0 can end it and be lower than all. */
function shifted(name: string, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) {
    let code = name.charCodeAt(i);
    if (code === 0x5c) {
      const next = name.charCodeAt(i + 1);
      if (next >= 0x30 && next <= 0x39) {
        code = Number(name.slice(i + 1, i + 4));
        i += 3;
      } else {
        code = next;
        i += 1;
      }
    }
    text += String.fromCharCode(code + 1);
  }
  return text;
}
