/** A row of a benchmark's table. */
export interface Row {
  what: string;
  value: string;
  goal?: string;
}

/** Prints rows as Markdown, ready for RESULTS.md. */
export function printTable(title: string, rows: readonly Row[]): void {
  console.log(`### ${title}\n\n| what | measured | goal |\n|---|---|---|`);
  for (const row of rows) console.log(`| ${row.what} | ${row.value} | ${row.goal ?? ''} |`);
  console.log('');
}

/** The value below which `fraction` of the sorted samples lie. */
export function quantile(samples: readonly number[], fraction: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? NaN;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);
export const ms = (value: number): string =>
  value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`;
export const perSecond = (count: number, elapsedMs: number): string =>
  `${Math.round((count * 1000) / elapsedMs)}/s`;
export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/** Prints a table of any columns as Markdown. */
export function printColumns(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  console.log(`### ${title}\n\n| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
  console.log('');
}
