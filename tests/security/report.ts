// The table of README.md, from the rows that run.
import type { AttackTable } from './attack.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\0', '\\0');
const code = (text: string): string => (/[_<>*]/.test(text) ? `\`${text}\`` : text);

/** Markdown of all tables, one section each. */
export function tablesText(tables: readonly AttackTable[]): string {
  return tables
    .map(({ title, attacks }) => {
      const rows = attacks.map(({ name, outcome }) => `| ${code(cell(name))} | ${cell(outcome)} |`);
      return [`## ${title} (${attacks.length})`, '', '| attack | outcome |', '|---|---|', ...rows, ''].join(
        '\n',
      );
    })
    .join('\n');
}
