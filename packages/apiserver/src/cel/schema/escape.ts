/** Names of fields as expressions may write them: `a-b` is `a__dash__b` (apiserver/pkg/cel/escaping.go). */

const words = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);
const escapes: Readonly<Record<string, string>> = {
  __: '__underscores__',
  '.': '__dot__',
  '-': '__dash__',
  '/': '__slash__',
};
const unescapes: Readonly<Record<string, string>> = {
  underscores: '__',
  dot: '.',
  dash: '-',
  slash: '/',
};

/** The name in expressions; undefined for a name that has none. */
export function escapeName(name: string): string | undefined {
  if (name === '' || /^\d/.test(name)) return undefined;
  if (words.has(name)) return `__${name}__`;
  if (!/^[A-Za-z0-9_./-]*$/.test(name)) return undefined;
  return name.replace(/__|[-./]/g, (part) => escapes[part] as string);
}

/** The name in JSON; undefined for a name with escapes that there are not. */
export function unescapeName(escaped: string): string | undefined {
  if (!escaped.includes('__')) return escaped;
  let valid = true;
  const name = escaped.replace(/__([^_]+)__/g, (whole, content: string) => {
    const known = Object.hasOwn(unescapes, content) ? unescapes[content] : undefined;
    if (known !== undefined) return known;
    if (!words.has(content) || whole.length !== escaped.length) valid = false;
    return content;
  });
  return valid ? name : undefined;
}
