import { checkPlace, parsePlace, placeName } from '@cloudless/datastore/history/place';
import type { Finding } from '@cloudless/datastore/history/check';
import { Progress } from '../../progress.ts';
import { type PlaceFlags, placeOptions, printJson, step, wantsJson } from './place-options.ts';

/** `cloudless datastore check`; exit code 1 when something is wrong. */
export async function check(flags: PlaceFlags): Promise<void> {
  const place = parsePlace(flags.endpoint);
  const isJson = wantsJson(flags.output);
  const progress = new Progress();
  const report = await step(
    progress,
    `check ${placeName(place)}`,
    () => checkPlace(place, placeOptions(flags, progress)),
    ({ rows, keys, leases, findings, moreFindings }) =>
      `${rows} rows, ${keys} keys, ${leases} leases: ` +
      (findings.length === 0 ? 'nothing is wrong' : `${findings.length + moreFindings} things are wrong`),
  );
  if (isJson) printJson(report);
  else {
    for (const finding of report.findings) process.stdout.write(`${lineOf(finding)}\n`);
    if (report.moreFindings > 0) process.stdout.write(`and ${report.moreFindings} more\n`);
    if (report.findings.length > 0)
      process.stdout.write('Restore it from a snapshot: cloudless datastore restore FILE --endpoint …\n');
  }
  if (report.findings.length > 0) process.exitCode = 1;
}

function lineOf({ row, revision, key, problem }: Finding): string {
  return row === undefined
    ? problem
    : `row ${row} (revision ${revision}, key ${JSON.stringify(key)}): ${problem}`;
}
