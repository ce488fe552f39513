/**
 * `$(NAME)` expansion of commands, arguments, environment values and subPathExpr (upstream:
 * third_party/forked/golang/expansion). `$$` stands for `$`, so that `$$(NAME)` stays `$(NAME)`; an unknown
 * name stays as written.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let result = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char !== '$' || at + 1 >= text.length) {
      result += char;
      continue;
    }
    const next = text[at + 1]!;
    if (next === '$') {
      result += '$';
      at++;
      continue;
    }
    const end = next === '(' ? text.indexOf(')', at + 2) : -1;
    if (end < 0) {
      result += char + next;
      at++;
      continue;
    }
    const name = text.slice(at + 2, end);
    result += lookup(name) ?? `$(${name})`;
    at = end;
  }
  return result;
}

/** Names that a text asks for and `lookup` does not know. */
export function unresolved(text: string, lookup: (name: string) => string | undefined): string[] {
  const missing: string[] = [];
  expand(text, (name) => {
    const value = lookup(name);
    if (value === undefined) missing.push(name);
    return value;
  });
  return missing;
}
