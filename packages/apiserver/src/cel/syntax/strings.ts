/** String and bytes literals → their values (cel-spec, langdef: String and Bytes Values). */

const simple: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '`': '`',
  '?': '?',
};

/** Text between the quotes, and whether escapes in it stand for themselves. */
function contentOf(literal: string): { content: string; raw: boolean } {
  const text = literal.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const raw = /^[rR]/.test(text);
  const quoted = raw ? text.slice(1) : text;
  const triple = quoted.length >= 6 && (quoted.startsWith('"""') || quoted.startsWith("'''"));
  return { content: triple ? quoted.slice(3, -3) : quoted.slice(1, -1), raw };
}

const escapes = /\\([0-3][0-7]{2}|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^])/g;

function codeOf(escape: string): number | undefined {
  if (/^[0-3][0-7]{2}$/.test(escape)) return Number.parseInt(escape, 8);
  return /^[xXuU][0-9a-fA-F]+$/.test(escape) ? Number.parseInt(escape.slice(1), 16) : undefined;
}

/** The value of a string literal with its quotes. Throws an Error with cel-go's words. */
export function stringOf(literal: string): string {
  const { content, raw } = contentOf(literal);
  if (raw || !content.includes('\\')) return content;
  return content.replace(escapes, (_whole, escape: string) => {
    const code = codeOf(escape);
    if (code !== undefined) {
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        throw new Error('invalid unicode code point');
      return String.fromCodePoint(code);
    }
    const known = simple[escape];
    if (known === undefined) throw new Error('unable to unescape string');
    return known;
  });
}

/** The value of a bytes literal with its quotes, without `b`. Throws an Error with cel-go's words. */
export function bytesOf(literal: string): Uint8Array {
  const { content, raw } = contentOf(literal);
  if (raw || !content.includes('\\')) return new TextEncoder().encode(content);
  const parts: number[] = [];
  let from = 0;
  const push = (text: string): void => {
    for (const byte of new TextEncoder().encode(text)) parts.push(byte);
  };
  for (const match of content.matchAll(escapes)) {
    push(content.slice(from, match.index));
    from = match.index + match[0].length;
    const escape = match[1] as string;
    const code = codeOf(escape);
    if (code !== undefined && !/^[uU]/.test(escape)) parts.push(code);
    else if (simple[escape] !== undefined) push(simple[escape]);
    else throw new Error('unable to unescape string');
  }
  push(content.slice(from));
  return Uint8Array.from(parts);
}
