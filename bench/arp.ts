// How soon ARP requests and neighbour solicitations are answered, beside the kernel's own answers, in network namespaces (root).
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ProbeAnswer, ProbeCommand } from '../packages/loadbalancer/src/testing/arp-probe.ts';
import type { NodeCommand, NodeReport } from '../packages/loadbalancer/src/testing/layer2-node.ts';
import { LineProgram } from '../packages/loadbalancer/src/testing/line-program.ts';
import { openSegment } from '../packages/loadbalancer/src/testing/segment.ts';
import { printTable, quantile, type Row } from './table.ts';

const testing = join(import.meta.dirname, '../packages/loadbalancer/src/testing');
const questions = 2000;
const busyProcesses = 4;
const rows: Row[] = [];

const segment = await openSegment();
const owner = await segment.addHost('owner', { ipv4: '10.9.0.1/16', ipv6: 'fd09::1/64' });
const client = await segment.addHost('client', { ipv4: '10.9.0.2/16', ipv6: 'fd09::2/64' });
const node = new LineProgram<NodeCommand, NodeReport>(
  owner.start(process.execPath, [join(testing, 'layer2-node.ts'), 'owner']),
);
await node.next(({ kind }) => kind === 'ready');
// Before all else of the machine: what is measured is the one who answers.
const probe = new LineProgram<ProbeCommand, ProbeAnswer>(
  client.start('nice', ['-n', '-20', process.execPath, join(testing, 'arp-probe.ts'), 'eth0']),
);
await probe.next();

const microseconds = (ms: number): string => `${Math.round(ms * 1000)} µs`;

async function ask(what: string, ours: string, kernels: string): Promise<void> {
  const times = async (address: string): Promise<number[]> => {
    const command = {
      kind: 'ask',
      addresses: [address],
      count: questions,
      timeoutMs: 500,
      pauseMs: 1,
    } as const;
    const { answers } = await probe.ask(command, undefined, 600_000);
    return answers.map((heard) => heard?.atMs ?? Infinity);
  };
  const [mine, theirs] = [await times(ours), await times(kernels)];
  const at = (fraction: number): string =>
    `${microseconds(quantile(mine, fraction))} (kernel ${microseconds(quantile(theirs, fraction))})`;
  const added = microseconds(quantile(mine, 0.5) - quantile(theirs, 0.5));
  rows.push({ what: `${what}, p50`, value: `${at(0.5)}: ${added} more`, goal: '≤ 30 µs more' });
  rows.push({ what: `${what}, p99`, value: at(0.99) });
}

/** From the order until the last of the addresses was first announced. */
async function takeOver(addresses: readonly string[]): Promise<void> {
  const listening = probe.ask({ kind: 'listen', ms: 2000 }, undefined, 10_000);
  node.send({ kind: 'plans', plans: addresses.map(planOf) });
  const first = new Map<string, number>();
  for (const { address, atMs } of (await listening).others) if (!first.has(address)) first.set(address, atMs);
  const missing = addresses.length - first.size;
  const lastMs = Math.max(...first.values());
  rows.push({
    what: `${addresses.length} addresses taken over: the last one is announced`,
    value: missing > 0 ? `${missing} never` : `${Math.round(lastMs)} ms`,
  });
}

const planOf = (address: string) =>
  ({ address, candidates: 'any', interfaces: 'any', sources: [], refused: [] }) as const;

const busy: ChildProcess[] = [];
try {
  node.send({ kind: 'members', members: [{ name: 'owner', address: '10.9.0.1' }] });
  node.send({ kind: 'plans', plans: ['10.9.0.9', 'fd09::9'].map(planOf) });
  await probe.ask({ kind: 'listen', ms: 3500 });
  await ask('ARP', '10.9.0.9', '10.9.0.1');
  await ask('NDP', 'fd09::9', 'fd09::1');
  node.send({ kind: 'stall', ms: 20_000 });
  await ask('ARP, main thread stalled', '10.9.0.9', '10.9.0.1');
  for (let i = 0; i < busyProcesses; i++) busy.push(spawn('sh', ['-c', 'while :; do :; done']));
  await ask(`ARP, beside ${busyProcesses} busy processes`, '10.9.0.9', '10.9.0.1');
  await ask(`NDP, beside ${busyProcesses} busy processes`, 'fd09::9', 'fd09::1');
  for (const child of busy) child.kill('SIGKILL');
  await node.ask({ kind: 'metrics' }, ({ kind }) => kind === 'metrics', 60_000);
  await takeOver(
    Array.from({ length: 500 }, (_, i) => [
      `10.9.${1 + (i >> 8)}.${i & 255}`,
      `fd09::1:${i.toString(16)}`,
    ]).flat(),
  );
  printTable('Answers of layer 2', rows);
} finally {
  for (const child of busy) child.kill('SIGKILL');
  segment.close();
}
