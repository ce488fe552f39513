/** Paths at which two values differ, for error messages: `- path: old` and `+ path: new`, a line each. */
export function difference(before: unknown, now: unknown): string {
  const lines: string[] = [];
  collect(before, now, '', lines);
  return lines.join('\n');
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

function shown(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'bigint' ? member.toString() : member,
  );
}

function collect(before: unknown, now: unknown, path: string, lines: string[]): void {
  if (before === now || lines.length >= 20) return;
  if (isObject(before) && isObject(now) && Array.isArray(before) === Array.isArray(now)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const at = Array.isArray(before) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
      collect(before[key], now[key], at, lines);
    }
    return;
  }
  if (before !== undefined) lines.push(`- ${path}: ${shown(before)}`);
  if (now !== undefined) lines.push(`+ ${path}: ${shown(now)}`);
}
