import type { ReportedAddress, ReportedMode, StatusReport } from './report.ts';

/** The report as people read it: a line for each address and mode, and under it why others are not it. */
export function reportText(report: StatusReport, nowMs: number): string {
  const rows = [['ADDRESS', 'SERVICE', 'POOL', 'MODE', 'OWNER', 'SINCE', 'CANDIDATES']];
  const notes: string[][] = [[]];
  for (const address of report.addresses)
    for (const mode of address.modes) {
      rows.push(rowOf(address, mode, nowMs));
      notes.push(notesOf(mode));
    }
  const lines: string[] = [];
  if (rows.length === 1) lines.push('No address is announced or asked for.');
  else
    for (const [i, row] of columns(rows).entries())
      lines.push(row, ...(notes[i] ?? []).map((note) => `    ${note}`));
  for (const service of report.pending) lines.push(`${service} waits for an address: see its Events`);
  if (report.peers.length > 0) lines.push('', ...peersText(report, nowMs));
  lines.push(
    '',
    report.speakers
      ? `speakers seen from here: ${report.speakers.join(', ')}`
      : 'no speaker answers on this machine: who owns what is as the API tells it',
  );
  for (const problem of report.problems) lines.push(`! ${problem}`);
  return `${lines.join('\n')}\n`;
}

function rowOf({ address, sources, pool }: ReportedAddress, mode: ReportedMode, nowMs: number): string[] {
  return [
    address,
    sources.join(','),
    pool ?? '-',
    mode.mode,
    mode.owners.join(',') || 'nobody',
    mode.since === undefined ? '-' : ageText(nowMs - Date.parse(mode.since)),
    mode.candidates.join(',') || 'none',
  ];
}

function notesOf(mode: ReportedMode): string[] {
  const notes: string[] = [];
  if (mode.silent !== undefined) notes.push(`not announced: ${mode.silent}`);
  if (mode.labelOverruled)
    notes.push(
      'every candidate has the label node.kubernetes.io/exclude-from-external-load-balancers: announced all the same',
    );
  if (mode.contestedBy !== undefined) notes.push(`contested by ${mode.contestedBy}`);
  for (const [node, peers] of Object.entries(mode.peers)) notes.push(`${node}: to ${peers.join(', ')}`);
  for (const { node, why } of mode.others) notes.push(`not ${node}: ${why}`);
  return notes;
}

function peersText(report: StatusReport, nowMs: number): string[] {
  const rows = [['PEER', 'ADDRESS', 'STATE', 'SINCE', 'BFD', 'ROUTES', 'LAST ERROR']];
  for (const peer of report.peers)
    rows.push([
      peer.name,
      peer.address,
      peer.state,
      ageText(nowMs - peer.sinceMs),
      peer.bfd ?? '-',
      String(peer.advertisedRoutes),
      peer.lastError ?? '-',
    ]);
  return columns(rows);
}

function columns(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** As kubectl tells ages. */
function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
