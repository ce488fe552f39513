/**
 * A host with the real layer-2 thread, as a process of its own in a network namespace: `node failover-host.ts OPTIONS` with
 * {@link FailoverHostOptions} as JSON. Its virtual addresses are on `lo` and served by UDP and TCP echo on one port, in the
 * place of a data plane. Reports are lines of JSON; it stops in an orderly way when its input ends.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { logger } from '@cloudless/kube/logger';
import type { AddressPlan } from '../announcement.ts';
import type { GossipMember } from '../gossip/gossip.ts';
import { startGossip } from '../gossip/start.ts';
import type { Layer2, Member, Ownership } from '../layer2/layer2.ts';
import { startLayer2 } from '../layer2/start.ts';

export interface FailoverHostOptions {
  readonly name: string;
  readonly address: string;
  readonly members: readonly Member[];
  readonly virtualAddresses: readonly string[];
  readonly port: number;
  /** False: it only serves, and some other program announces; default true. */
  readonly announces?: boolean;
  /** Members are those that gossip believes alive, with memberlist's settings for a LAN; else all of `members`. */
  readonly gossip?: boolean;
  /** Absent: members count as live while they are listed. */
  readonly heartbeat?: { readonly intervalMs?: number; readonly key?: string; readonly sticky?: boolean };
}

export type FailoverHostCommand =
  | { readonly kind: 'members'; readonly members: readonly Member[] }
  | { readonly kind: 'ownerships' }
  | { readonly kind: 'metrics' }
  /** Keeps the main thread busy for so long. */
  | { readonly kind: 'spin'; readonly ms: number };

export type FailoverHostReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ownership'; readonly ownership: Ownership }
  | { readonly kind: 'ownerships'; readonly ownerships: readonly Ownership[] }
  | { readonly kind: 'metrics'; readonly text: string }
  | { readonly kind: 'spun' };

const options = JSON.parse(process.argv[2] ?? '{}') as FailoverHostOptions;
const report = (message: FailoverHostReport): void =>
  void process.stdout.write(`${JSON.stringify(message)}\n`);

const echoes: Array<{ close(): void }> = [];
for (const address of options.virtualAddresses) {
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  // With the host's name behind it, so that the client knows whom it reached.
  udp.on('message', (message, from) => udp.send([message, options.name], from.port, from.address));
  udp.on('error', () => {});
  udp.bind(options.port, address);
  const tcp = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  tcp.listen(options.port, address);
  echoes.push(udp, tcp);
}
const plans: AddressPlan[] = options.virtualAddresses.map((address) => ({
  address,
  candidates: 'any',
  interfaces: 'any',
  sources: [{ kind: 'file', name: 'failover' }],
  refused: [],
}));
const log = logger('failover-host');
const stopping: Array<() => Promise<void>> = [];

async function startAnnouncing(): Promise<Layer2> {
  const { heartbeat } = options;
  const layer2 = await startLayer2({
    nodeName: options.name,
    log,
    ...(heartbeat && {
      heartbeat: {
        address: options.address,
        ...(heartbeat.intervalMs !== undefined && { intervalMs: heartbeat.intervalMs }),
        ...(heartbeat.key !== undefined && { gossipKey: Buffer.from(heartbeat.key) }),
        ...(heartbeat.sticky !== undefined && { sticky: heartbeat.sticky }),
      },
    }),
  });
  layer2.subscribe((ownership) => report({ kind: 'ownership', ownership }));
  layer2.setPlans(plans);
  if (options.gossip === true) await followGossip(layer2);
  else layer2.setMembers(options.members);
  return layer2;
}

async function followGossip(layer2: Layer2): Promise<void> {
  const gossip = await startGossip({
    nodeName: options.name,
    bindAddress: options.address,
    port: 7946,
    profile: 'lan',
    log,
  });
  const tell = (members: readonly GossipMember[]): void =>
    layer2.setMembers(members.filter(({ state }) => state === 'alive' || state === 'suspect'));
  gossip.subscribe(tell);
  await gossip.join(options.members.map(({ address }) => address));
  tell(gossip.members());
  stopping.push(() => gossip.stop());
}

const layer2 = options.announces === false ? undefined : await startAnnouncing();
report({ kind: 'ready' });
for await (const line of createInterface(process.stdin)) {
  const command = JSON.parse(line) as FailoverHostCommand;
  switch (command.kind) {
    case 'members':
      layer2?.setMembers(command.members);
      break;
    case 'ownerships':
      report({ kind: 'ownerships', ownerships: layer2?.ownerships() ?? [] });
      break;
    case 'metrics':
      report({ kind: 'metrics', text: layer2?.metrics() ?? '' });
      break;
    case 'spin': {
      const endMs = performance.now() + command.ms;
      while (performance.now() < endMs);
      report({ kind: 'spun' });
    }
  }
}
await layer2?.stop();
for (const stop of stopping) await stop();
for (const echo of echoes) echo.close();
