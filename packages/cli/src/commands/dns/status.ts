import type { ExternalDnsStatus, ZoneStatus } from '@cloudless/dns/external/external-dns';
import { askPage, isJson, type LocalFlags } from './local-dns.ts';
import { problemText } from './problems.ts';
import { sourceText } from './record-text.ts';

/** `cloudless dns status`. */
export async function status(flags: LocalFlags): Promise<void> {
  const json = isJson(flags);
  const state = await askPage<ExternalDnsStatus>(flags, '/status');
  process.stdout.write(json ? `${JSON.stringify(state, null, 2)}\n` : statusText(state));
  if (!state.ready || state.zones.some((zone) => zone.state === 'bad' || zone.state === 'expired'))
    process.exitCode = 2;
}

/** The state as people read it. */
export function statusText(state: ExternalDnsStatus): string {
  const lines: string[] = [];
  if (!state.ready) lines.push(`not ready: waits for ${state.waitingFor ?? 'the first sync'}`);
  else if (state.waitingFor !== undefined) lines.push(`changes wait for ${state.waitingFor}`);
  lines.push(...(state.zones.length === 0 ? ['no zones'] : table(state.zones)));
  for (const { resource, error } of state.sources.filter(
    (source) => source.error !== undefined || !source.synced,
  ))
    lines.push(`${resource}: ${error ?? 'not read yet'}`);
  const problems = [...state.problems, ...state.zones.flatMap((zone) => zone.problems)];
  if (problems.length > 0) lines.push('', ...problems.map(problemText));
  if (state.outside.length > 0) {
    lines.push('', 'names that objects ask for and no zone here holds:');
    for (const { name, type, from } of state.outside) lines.push(`  ${name} ${type}, by ${sourceText(from)}`);
  }
  return `${lines.join('\n')}\n`;
}

function table(zones: readonly ZoneStatus[]): string[] {
  const rows = zones.map((zone) => [
    zone.origin || '.',
    zone.state,
    zone.role,
    String(zone.serial ?? '-'),
    String(zone.records),
    String(zone.derived),
    String(zone.lost),
    zone.signed ? 'signed' : '-',
  ]);
  const all = [['ZONE', 'STATE', 'ROLE', 'SERIAL', 'RECORDS', 'FROM OBJECTS', 'LOST', 'DNSSEC'], ...rows];
  const widths = all[0]?.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0))) ?? [];
  return all.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
