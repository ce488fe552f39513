import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ranking } from '../layer2/election.ts';
import type { Member, Ownership } from '../layer2/layer2.ts';
import { bootTimeMs } from '@cloudless/kube/native/libc';
import type { Answered, FailoverClientOptions, Sighting } from './failover-client.ts';
import type { FailoverHostCommand, FailoverHostOptions, FailoverHostReport } from './failover-host.ts';
import { LineProgram } from './line-program.ts';
import { type Host, openSegment } from './segment.ts';

export type Failure = 'port cut' | 'kill -9' | 'SIGSTOP';
export const failures: readonly Failure[] = ['port cut', 'kill -9', 'SIGSTOP'];

/** Of the echo services on virtual addresses. */
export const port = 4000;
const prefix = '10.79.0';

/** A host of a {@link FailoverCluster}. */
export interface FailoverHost {
  readonly name: string;
  readonly member: Member;
  readonly host: Host;
  readonly mac: string;
  program: LineProgram<FailoverHostCommand, FailoverHostReport>;
  announcer: ChildProcess | undefined;
}

export interface FailoverClient {
  readonly host: Host;
  /** What it saw since it was last asked. */
  look(): Promise<Sighting>;
}

export interface FailoverClusterOptions {
  readonly hosts: number;
  readonly virtualAddresses?: readonly string[];
  readonly heartbeat?: FailoverHostOptions['heartbeat'];
  readonly gossip?: boolean;
  /** Starts another program that announces, instead of the layer-2 thread; `rank` 0 is to be the owner. */
  readonly announcer?: (host: FailoverHost, rank: number) => ChildProcess;
  /** Between a client's ARP requests; null: only its kernel asks. */
  readonly askEveryMs?: number | null;
}

/** Hosts on a bridge, each with its layer-2 thread in a process and namespace of its own, and a client beside. */
export class FailoverCluster {
  readonly virtualAddresses: readonly string[];
  readonly hosts: FailoverHost[] = [];
  readonly #options: FailoverClusterOptions;
  #segment!: Awaited<ReturnType<typeof openSegment>>;
  client!: FailoverClient;

  private constructor(options: FailoverClusterOptions) {
    this.#options = options;
    this.virtualAddresses = options.virtualAddresses ?? [`${prefix}.100`];
  }

  static async start(options: FailoverClusterOptions): Promise<FailoverCluster> {
    const cluster = new FailoverCluster(options);
    cluster.#segment = await openSegment();
    try {
      await cluster.#build();
    } catch (error) {
      cluster.close();
      throw error;
    }
    return cluster;
  }

  async #build(): Promise<void> {
    for (let i = 1; i <= this.#options.hosts; i++) {
      const host = await this.#segment.addHost(`node-${i}`, { ipv4: `${prefix}.${i}/24` });
      // Services listen on addresses that another announcer brings and takes away.
      if (this.#options.announcer) host.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind');
      else
        for (const address of this.virtualAddresses)
          host.run('ip', 'address', 'add', `${address}/32`, 'dev', 'lo');
      // The kernel itself is not to answer for what is on lo.
      host.run('sh', '-c', 'cd /proc/sys/net/ipv4/conf/all && echo 1 > arp_ignore && echo 2 > arp_announce');
      const [{ address: mac } = { address: '' }] = JSON.parse(
        host.run('ip', '-json', 'link', 'show', 'eth0'),
      ) as Array<{ address: string }>;
      const member = { name: `node-${i}`, address: `${prefix}.${i}` };
      this.hosts.push({
        name: member.name,
        member,
        host,
        mac,
        program: undefined as never,
        announcer: undefined,
      });
    }
    await Promise.all(this.hosts.map((host) => this.startProgram(host)));
    this.client = await this.addClient('client', 200);
  }

  /** A client of the virtual addresses; the cluster has one already. `number` ends its address. */
  async addClient(name: string, number: number): Promise<FailoverClient> {
    const host = await this.#segment.addHost(name, { ipv4: `${prefix}.${number}/24` });
    const options: FailoverClientOptions = {
      address: `${prefix}.${number}`,
      virtualAddresses: this.virtualAddresses,
      port,
      everyMs: 4,
      askEveryMs: this.#options.askEveryMs === undefined ? 20 : this.#options.askEveryMs,
    };
    const probe = await this.#start(host, 'failover-client.ts', options);
    return { host, look: () => probe.ask('take') as Promise<Sighting> };
  }

  /** Starts the host's layer 2, or starts it again; the other members are listed as gossip would. */
  async startProgram(host: FailoverHost, members = this.hosts.map(({ member }) => member)): Promise<void> {
    const options: FailoverHostOptions = {
      name: host.name,
      address: host.member.address,
      members,
      virtualAddresses: this.virtualAddresses,
      port,
      announces: this.#options.announcer === undefined,
      gossip: this.#options.gossip ?? false,
      ...(this.#options.heartbeat && { heartbeat: this.#options.heartbeat }),
    };
    host.program = (await this.#start(host.host, 'failover-host.ts', options)) as FailoverHost['program'];
    host.announcer = this.#options.announcer?.(host, this.hosts.indexOf(host));
  }

  async #start(host: Host, file: string, options: unknown): Promise<LineProgram<unknown, unknown>> {
    const path = new URL(file, import.meta.url).pathname;
    const child = host.start(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', path, JSON.stringify(options)],
      {
        ...process.env,
        CLOUDLESS_LOG: process.env['CLOUDLESS_LOG'] ?? 'error',
      },
    );
    const program = new LineProgram<unknown, unknown>(child);
    await program.next();
    return program;
  }

  byMac(mac: string): FailoverHost | undefined {
    return this.hosts.find((host) => host.mac === mac);
  }

  /** In the election's order for the first address. */
  ranked(): FailoverHost[] {
    const order = new Ranking(this.virtualAddresses[0] as string).of(this.hosts.map(({ name }) => name));
    return order.map((name) => this.hosts.find((host) => host.name === name) as FailoverHost);
  }

  ownerships(host: FailoverHost): Promise<readonly Ownership[]> {
    return host.program
      .ask<Extract<FailoverHostReport, { kind: 'ownerships' }>>(
        { kind: 'ownerships' },
        ({ kind }) => kind === 'ownerships',
      )
      .then((report) => report.ownerships);
  }

  metrics(host: FailoverHost): Promise<string> {
    return host.program
      .ask<Extract<FailoverHostReport, { kind: 'metrics' }>>(
        { kind: 'metrics' },
        ({ kind }) => kind === 'metrics',
      )
      .then((report) => report.text);
  }

  /** Waits until the client is answered by `host` alone, for `calmMs`. */
  async settled(host: FailoverHost, calmMs = 300, timeoutMs = 10_000): Promise<void> {
    const endMs = bootTimeMs() + timeoutMs;
    let last = '';
    while (bootTimeMs() < endMs) {
      await this.client.look();
      await sleep(calmMs);
      const seen = await this.client.look();
      const macs = [...new Set(seen.claims.map(({ mac }) => mac))];
      const answered = Object.values(seen.answered).every((times) => times.length > calmMs / 10);
      if (answered && (macs.length === 0 || (macs.length === 1 && macs[0] === host.mac))) return;
      last = `${macs.map((mac) => this.byMac(mac)?.name ?? mac).join()}; ${JSON.stringify(Object.values(seen.answered).map((times) => times.length))} datagrams answered`;
    }
    throw new Error(`${host.name} does not answer alone: heard ${last}`);
  }

  /** Makes a host fail; returns when it did, in CLOCK_BOOTTIME's milliseconds. */
  fail(host: FailoverHost, way: Failure): number {
    if (way === 'port cut') host.host.cut();
    else signal(host, way === 'kill -9' ? 'SIGKILL' : 'SIGSTOP');
    return bootTimeMs();
  }

  /** Undoes {@link fail}; returns when. */
  async recover(host: FailoverHost, way: Failure): Promise<number> {
    if (way === 'kill -9') await this.startProgram(host);
    else if (way === 'SIGSTOP') signal(host, 'SIGCONT');
    else host.host.reconnect();
    return bootTimeMs();
  }

  close(): void {
    this.#segment.close();
  }
}

/** To a host's program, and to its announcer with the children of that. */
function signal(host: FailoverHost, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  const { pid } = host.program.child;
  const announcer = host.announcer?.pid;
  for (const one of [pid, announcer, ...(announcer === undefined ? [] : childrenOf(announcer))])
    if (one !== undefined) process.kill(one, name);
}

function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return list.split(' ').filter(Boolean).map(Number);
}

/**
 * The longest time without service between `fromMs` and `untilMs`, in ms: between two sent datagrams that were answered
 * within `patienceMs`. A stopped host answers what waited when it goes on; that is not service.
 */
export function longestGap(
  answered: readonly Answered[],
  fromMs: number,
  untilMs: number,
  patienceMs = 100,
): number {
  const times = answered
    .filter(({ sentMs, heardMs }) => heardMs - sentMs <= patienceMs && sentMs >= fromMs && sentMs <= untilMs)
    .map(({ sentMs }) => sentMs)
    .sort((a, b) => a - b);
  let gapMs = 0;
  for (const [i, time] of [fromMs, ...times].entries()) gapMs = Math.max(gapMs, (times[i] ?? untilMs) - time);
  return gapMs;
}
