// How long a client goes without answers from a virtual address when its owner fails: ours, ours by gossip alone (memberlist's
// settings for a LAN), and keepalived. `ROUNDS=20 node bench/failover.ts`, as root; keepalived by `scripts/setup --test`.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootTimeMs } from '@cloudless/kube/native/libc';
import {
  type Failure,
  FailoverCluster,
  type FailoverClusterOptions,
  type FailoverHost,
  failures,
  longestGap,
} from '../packages/loadbalancer/src/testing/failover-cluster.ts';
import { findPeer, missingPeer } from '../packages/kube/src/testing/peers.ts';
import { median, ms } from './table.ts';

const rounds = Number(process.env['ROUNDS'] ?? 20);
const only = process.env['ONLY'];
const folder = mkdtempSync(join(tmpdir(), 'cloudless-failover-'));

interface Contender {
  what: string;
  options: Omit<FailoverClusterOptions, 'hosts'>;
  rounds: number;
  /** How long to wait for another to take over. */
  awayMs: number;
  /** Members that were lost do not come back by themselves: the failed one's program starts anew. */
  restarts?: boolean;
}

/** keepalived with VRRP version 3, the first host with the highest priority. */
function keepalived(advertSeconds: number): (host: FailoverHost, rank: number) => ChildProcess {
  const peer = findPeer('keepalived');
  return ({ name, host }, rank) => {
    const file = join(folder, `${name}.conf`);
    writeFileSync(
      file,
      `global_defs {
  router_id ${name}
  vrrp_version 3
}
vrrp_instance bench {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority ${150 - 10 * rank}
  advert_int ${advertSeconds}
  virtual_ipaddress {
    10.79.0.100/32 dev eth0
  }
}
`,
    );
    const paths = ['-p', '-r', '-c'].flatMap((flag) => [flag, join(folder, `${name}${flag}.pid`)]);
    // What a killed one left may name a process that is another's by now.
    for (const path of paths) rmSync(path, { force: true });
    const flags = ['-n', '-P', '-G', '-f', file, ...paths];
    const child = host.start(peer?.program ?? 'keepalived', flags, peer?.env);
    child.stdout?.resume();
    return child;
  };
}

const contenders: Contender[] = [
  { what: 'ours: heartbeats 100 ms × 3', options: { heartbeat: { key: 'bench' } }, rounds, awayMs: 800 },
  {
    what: 'ours: heartbeats 50 ms × 3',
    options: { heartbeat: { key: 'bench', intervalMs: 50 } },
    rounds,
    awayMs: 600,
  },
  {
    what: "gossip alone, memberlist's LAN defaults",
    options: { gossip: true },
    rounds: Math.ceil(rounds / 4),
    awayMs: 15_000,
    restarts: true,
  },
];
if (missingPeer('keepalived') === false)
  contenders.push(
    { what: 'keepalived, advert 0.1 s', options: { announcer: keepalived(0.1) }, rounds, awayMs: 1000 },
    {
      what: 'keepalived, advert 1 s',
      options: { announcer: keepalived(1) },
      rounds: Math.ceil(rounds / 2),
      awayMs: 5000,
    },
  );

/** Waits until the client is served by `owner` alone for half a second. */
async function servedBy(cluster: FailoverCluster, owner: FailoverHost): Promise<void> {
  const endMs = bootTimeMs() + 60_000;
  let seen = '';
  while (bootTimeMs() < endMs) {
    await cluster.client.look();
    await sleep(500);
    const { answered } = await cluster.client.look();
    const list = Object.values(answered).flat();
    seen = `${list.length} answers of ${[...new Set(list.map(({ by }) => by))].join()}`;
    if (list.length > 50 && list.every(({ by }) => by === owner.name)) return;
  }
  throw new Error(`${owner.name} does not serve alone: ${seen}`);
}

async function failOnce(cluster: FailoverCluster, owner: FailoverHost, way: Failure, contender: Contender) {
  await servedBy(cluster, owner);
  await sleep(Math.random() * 1000);
  await cluster.client.look();
  const failedMs = cluster.fail(owner, way);
  const endMs = failedMs + contender.awayMs;
  const answered = [];
  do {
    await sleep(Math.min(800, contender.awayMs));
    answered.push(...Object.values((await cluster.client.look()).answered).flat());
  } while (bootTimeMs() < endMs && !answered.some(({ by }) => by !== owner.name));
  const gapMs = longestGap(answered, failedMs, bootTimeMs() - 50);
  if (contender.restarts === true) {
    if (way === 'port cut') await cluster.recover(owner, way);
    if (way !== 'kill -9') cluster.fail(owner, 'kill -9');
    await cluster.recover(owner, 'kill -9');
  } else await cluster.recover(owner, way);
  return gapMs;
}

console.log(`### Failover: a client's time without answers\n`);
console.log('| what | way to fail | median | worst | n |\n|---|---|---|---|---|');
try {
  for (const contender of contenders) {
    if (only !== undefined && !contender.what.includes(only)) continue;
    const cluster = await FailoverCluster.start({ hosts: 3, askEveryMs: null, ...contender.options });
    try {
      const [owner] = contender.options.announcer ? cluster.hosts : cluster.ranked();
      for (const way of failures) {
        const gaps: number[] = [];
        for (let i = 0; i < contender.rounds; i++)
          gaps.push(await failOnce(cluster, owner as FailoverHost, way, contender));
        console.log(
          `| ${contender.what} | ${way} | ${ms(median(gaps))} | ${ms(Math.max(...gaps))} | ${gaps.length} |`,
        );
      }
    } finally {
      cluster.close();
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
const missing = missingPeer('keepalived');
if (missing !== false) console.log(`\nWithout keepalived: ${missing}.`);
