/** How many questions a second, for how much CPU, and how late answers come. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onCores } from './alone.ts';
import { dnsperf } from './dnsperf.ts';
import type { ServerProcess } from './server-process.ts';

const run = promisify(execFile);

export interface Load {
  questions: string;
  dnssecOk?: boolean;
  /** Of the client. */
  cores: string;
}

/** The best of all rounds, each figure by itself: what is worse was the machine's other work. */
export interface Speed {
  flooded: number;
  cpuMicroseconds: number;
  dnsperf: number;
  p50: number;
  p99: number;
}

export const nothingYet = (): Speed => ({
  flooded: 0,
  cpuMicroseconds: Infinity,
  dnsperf: 0,
  p50: Infinity,
  p99: Infinity,
});

/** One round with one server. */
export async function measure(
  server: ServerProcess,
  load: Load,
  best: Speed,
  seconds: number,
): Promise<void> {
  const { questions, dnssecOk = false, cores } = load;
  const before = server.cpuSeconds();
  const script = join(import.meta.dirname, 'flood.ts');
  const args = [
    '--disable-warning=ExperimentalWarning',
    script,
    String(server.port),
    questions,
    String(seconds),
  ];
  const { stdout } = await run(...onCores(cores, process.execPath, [...args, ...(dnssecOk ? ['do'] : [])]));
  const flood = JSON.parse(stdout) as { answered: number; perSecond: number };
  best.flooded = Math.max(best.flooded, flood.perSecond);
  const used = server.cpuSeconds() - before;
  // Less than before: it has ended.
  if (used > 0) best.cpuMicroseconds = Math.min(best.cpuMicroseconds, (used * 1e6) / flood.answered);
  const options = { port: server.port, questions, cores, dnssecOk, seconds };
  best.dnsperf = Math.max(best.dnsperf, (await dnsperf(options)).perSecond);
  const paced = await dnsperf({ ...options, paced: 10_000 });
  best.p50 = Math.min(best.p50, paced.p50);
  best.p99 = Math.min(best.p99, paced.p99);
}

export const speedColumns = [
  'answered in a flood, k/s',
  'CPU µs/answer',
  'dnsperf, k/s',
  'p50 at 10k/s, µs',
  'p99, µs',
];

/** Figures with, in brackets, how many times better or worse than `reference`'s they are: above 1 is better. */
export function speedCells(speed: Speed, reference: Speed | undefined): string[] {
  const cell = (value: number, other: number | undefined, isMoreBetter: boolean, digits: number): string => {
    if (!Number.isFinite(value)) return '–';
    const ratio =
      other === undefined ? '' : ` (${(isMoreBetter ? value / other : other / value).toFixed(2)}×)`;
    return `${value.toFixed(digits)}${ratio}`;
  };
  return [
    cell(speed.flooded / 1000, reference && reference.flooded / 1000, true, 0),
    cell(speed.cpuMicroseconds, reference?.cpuMicroseconds, false, 2),
    cell(speed.dnsperf / 1000, reference && reference.dnsperf / 1000, true, 0),
    cell(speed.p50, reference?.p50, false, 0),
    cell(speed.p99, reference?.p99, false, 0),
  ];
}
