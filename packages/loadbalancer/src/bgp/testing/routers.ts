import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Peer, findPeer } from '@cloudless/kube/testing/peers';
import type { Host } from '../../testing/segment.ts';

/** A neighbour as a router is configured for it. */
export interface Neighbour {
  readonly name: string;
  readonly address: string;
  readonly asn: number;
  readonly password?: string;
  /** It may be several hops away (IPv4), for BGP and for BFD. */
  readonly multihop?: boolean;
  /** Profile of timers in milliseconds; undefined: no BFD. */
  readonly bfd?: { readonly intervalMs: number; readonly multiplier: number };
}

/** A route in the router's kernel. */
export interface KernelRoute {
  readonly prefix: string;
  /** Gateways, sorted; several: ECMP. */
  readonly via: readonly string[];
}

/** A real router in a host of a segment, AS 64513. */
export interface Router {
  /** What its own command line prints (birdc, vtysh). */
  show(command: string): Promise<string>;
  /** BGP routes that it has installed, both families. */
  kernelRoutes(): KernelRoute[];
  stop(): Promise<void>;
}

const asn = 64513;

/** Both kinds, for tests that run with each. `programs`: what must be here for it. */
export const routerKinds = [
  { kind: 'BIRD 2', programs: ['bird', 'birdcl'], start: startBird },
  { kind: 'FRR', programs: ['zebra', 'bgpd'], start: startFrr },
] as const;

function kernelRoutesOf(host: Host): KernelRoute[] {
  const routes: KernelRoute[] = [];
  for (const [family, whole] of [
    ['-4', 32],
    ['-6', 128],
  ] as const)
    for (const protocol of ['bird', 'bgp']) {
      const text = host.run('ip', '-j', family, 'route', 'show', 'proto', protocol);
      for (const route of JSON.parse(text || '[]') as IpRoute[]) routes.push(kernelRoute(route, whole));
    }
  // IPv6 lists the ways of one prefix as routes of their own in older kernels.
  const byPrefix = new Map<string, Set<string>>();
  for (const { prefix, via } of routes)
    byPrefix.set(prefix, new Set([...(byPrefix.get(prefix) ?? []), ...via]));
  return [...byPrefix].map(([prefix, via]) => ({ prefix, via: [...via].sort() }));
}

/** As `ip -j route` prints it. */
interface IpRoute extends IpWay {
  readonly dst: string;
  readonly nexthops?: readonly IpWay[];
}

interface IpWay {
  readonly gateway?: string;
  /** A gateway of the other family. */
  readonly via?: { readonly host: string };
}

function kernelRoute(route: IpRoute, whole: number): KernelRoute {
  return {
    prefix: route.dst.includes('/') ? route.dst : `${route.dst}/${whole}`,
    via: (route.nexthops ?? [route]).map(({ gateway, via }) => gateway ?? via?.host ?? 'no gateway'),
  };
}

/** Waits for what `probe` makes of a router; at most 20 s. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const untilMs = performance.now() + 20_000;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > untilMs) throw new Error(`20 s went by without ${what}`);
    await sleep(25);
  }
}

const peerOf = (name: string): Peer => {
  const peer = findPeer(name);
  if (!peer) throw new Error(`${name} is not here: run scripts/setup --test as root`);
  return peer;
};

/** BIRD 2 with the neighbours; resolves when it answers its command line. */
export async function startBird(host: Host, neighbours: readonly Neighbour[]): Promise<Router> {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-bird-'));
  const bird = peerOf('bird');
  const control = peerOf('birdcl');
  writeFileSync(join(folder, 'bird.conf'), birdConfiguration(neighbours));
  const socket = join(folder, 'bird.ctl');
  const child = host.start(bird.program, ['-f', '-c', join(folder, 'bird.conf'), '-s', socket], bird.env);
  const show = (command: string): string =>
    execFileSync(control.program, ['-s', socket, ...command.split(' ')], {
      encoding: 'utf8',
      env: control.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  await eventually('an answer of BIRD', () => {
    try {
      return show('show status');
    } catch {
      return undefined;
    }
  });
  return {
    show: async (command) => show(command),
    kernelRoutes: () => kernelRoutesOf(host),
    async stop() {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}

function birdConfiguration(neighbours: readonly Neighbour[]): string {
  const sessions = neighbours.map(
    ({ name, address, asn: theirs, password, bfd, multihop }) => `
protocol bgp ${name} {
  local ${multihop ? '10.9.0.254 ' : ''}as ${asn};
  neighbor ${address} as ${theirs};
  hold time 9;
  ${multihop ? 'multihop;' : ''}
  connect retry time 1;
  error wait time 1, 2;
  ${password === undefined ? '' : `password "${password}";`}
  ${bfd ? `bfd { interval ${bfd.intervalMs} ms; multiplier ${bfd.multiplier}; };` : ''}
  ipv4 { import all; export none; ${address.includes(':') ? 'extended next hop on;' : ''} };
  ipv6 { import all; export none; };
}`,
  );
  return `router id 10.9.0.254;
protocol device { scan time 1; }
${neighbours.some(({ multihop }) => multihop) ? 'protocol direct { ipv4; ipv6; }' : ''}
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; merge paths on; }
${neighbours.some(({ bfd }) => bfd) ? 'protocol bfd { }' : ''}
${sessions.join('')}
`;
}

/**
 * FRR's zebra, bgpd and, where a neighbour wants BFD, bfdd. They want groups of their own, which this machine may not
 * have: each gets a private /etc/group in a mount namespace.
 */
export async function startFrr(host: Host, neighbours: readonly Neighbour[]): Promise<Router> {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-frr-'));
  writeFileSync(join(folder, 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(folder, 'group'), 'root:x:0:\nfrrvty:x:9998:root\n');
  writeFileSync(join(folder, 'bgpd.conf'), frrConfiguration(neighbours));
  const daemons = ['zebra', ...(neighbours.some(({ bfd }) => bfd) ? ['bfdd'] : []), 'bgpd'];
  const children: ChildProcess[] = [];
  for (const name of daemons) {
    const { program, env } = peerOf(name);
    const configuration = name === 'bgpd' ? join(folder, 'bgpd.conf') : '/dev/null';
    const command =
      `mount --bind ${folder}/passwd /etc/passwd && mount --bind ${folder}/group /etc/group && ` +
      `exec ${program} -u root -g root -A 127.0.0.1 -i ${folder}/${name}.pid -z ${folder}/zserv.api ` +
      `--vty_socket ${folder} ${name === 'bfdd' ? `--bfdctl ${folder}/bfdd.sock` : ''} ` +
      `-f ${configuration} --log file:${folder}/${name}.log`;
    children.push(host.start('unshare', ['--mount', 'sh', '-c', `${command} 2>>${folder}/${name}.log`], env));
    await eventually(`an answer of FRR's ${name}`, () =>
      askFrr(join(folder, `${name}.vty`), 'show version').catch(() => undefined),
    );
  }
  return {
    show: (command) => askFrr(join(folder, 'bgpd.vty'), command),
    kernelRoutes: () => kernelRoutesOf(host),
    async stop() {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}

function frrConfiguration(neighbours: readonly Neighbour[]): string {
  const lines = [
    `router bgp ${asn}`,
    ' bgp router-id 10.9.0.254',
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ' bgp bestpath as-path multipath-relax',
  ];
  for (const { address, asn: theirs, password, bfd, multihop } of neighbours) {
    lines.push(` neighbor ${address} remote-as ${theirs}`, ` neighbor ${address} timers 3 9`);
    lines.push(` neighbor ${address} timers connect 1`);
    if (multihop) lines.push(` neighbor ${address} ebgp-multihop 8`);
    if (password !== undefined) lines.push(` neighbor ${address} password ${password}`);
    if (bfd) lines.push(` neighbor ${address} bfd ${bfd.multiplier} ${bfd.intervalMs} ${bfd.intervalMs}`);
  }
  for (const family of ['ipv4', 'ipv6']) {
    lines.push(` address-family ${family} unicast`, '  maximum-paths 8', '  maximum-paths ibgp 8');
    for (const { address } of neighbours) lines.push(`  neighbor ${address} activate`);
    lines.push(' exit-address-family');
  }
  return `${lines.join('\n')}\n`;
}

/** One command over a daemon's vty socket, as vtysh gives it: text and NUL there, text, three NULs and a code back. */
function askFrr(socketPath: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const commands = ['enable', command];
    let answer = Buffer.alloc(0);
    const next = (): void => void socket.write(`${commands.shift()}\0`);
    socket.once('connect', next);
    socket.once('error', reject);
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < 4 || answer.readUIntBE(answer.length - 4, 3) !== 0) return;
      if (commands.length > 0) {
        answer = Buffer.alloc(0);
        next();
        return;
      }
      socket.destroy();
      resolve(answer.toString('utf8', 0, answer.length - 4));
    });
  });
}
