// How soon real routers follow: announcements, withdrawals and lost nodes, from the order to the router's kernel, as
// `ip monitor` there tells it. Needs root and the test peers (`scripts/setup --test`). ROUNDS, 20 by default.
// `node bench/bgp.ts bfd`: only nodes that are watched by BFD.
import { createInterface } from 'node:readline';
import { type Speaker, startSpeaker } from '../packages/loadbalancer/src/bgp/testing/speaker.ts';
import { eventually, routerKinds } from '../packages/loadbalancer/src/bgp/testing/routers.ts';
import { missingPeer } from '../packages/kube/src/testing/peers.ts';
import { type Host, openSegment } from '../packages/loadbalancer/src/testing/segment.ts';
import { type Row, median, ms, printTable } from './table.ts';

const rounds = Number(process.env['ROUNDS'] ?? 20);
/** Each of these rounds takes a hold time. */
const slowRounds = Math.max(1, Math.round(rounds / 7));
const only = process.argv[2];
const vip = '203.0.113.9';
const many = 10_000;

/** Hears each change of a host's routes at the moment the kernel tells it. */
class RouteMonitor {
  readonly #waiting = new Set<(line: string) => void>();

  constructor(host: Host) {
    const { stdout } = host.start('ip', ['monitor', 'route']);
    createInterface({ input: stdout! }).on('line', (line) => {
      for (const hear of this.#waiting) hear(line);
    });
  }

  /** Milliseconds until `count` lines match. */
  async time(pattern: RegExp, act: () => unknown, count = 1): Promise<number> {
    let left = count;
    const heard = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`60 s went by without ${pattern}`)), 60_000);
      const hear = (line: string): void => {
        if (!pattern.test(line) || --left > 0) return;
        clearTimeout(timer);
        this.#waiting.delete(hear);
        resolve();
      };
      this.#waiting.add(hear);
    });
    const startMs = performance.now();
    await act();
    await heard;
    return performance.now() - startMs;
  }
}

const shown = (samples: readonly number[]): string =>
  `${ms(median(samples))}, worst ${ms(Math.max(...samples))} of ${samples.length}`;

async function measure(kind: (typeof routerKinds)[number]): Promise<Row[]> {
  const rows: Row[] = [];
  const segment = await openSegment();
  const routerHost = await segment.addHost('router', { ipv4: '10.9.0.254/24', ipv6: 'fd00:9::254/64' });
  const one = await segment.addHost('one', { ipv4: '10.9.0.1/24' });
  const two = await segment.addHost('two', { ipv4: '10.9.0.2/24' });
  const router = await kind.start(routerHost, [
    { name: 'one', address: '10.9.0.1', asn: 64512 },
    { name: 'two', address: '10.9.0.2', asn: 64512 },
  ]);
  const monitor = new RouteMonitor(routerHost);
  const speak = (host: Host): Speaker =>
    startSpeaker(host, { peerAddress: '10.9.0.254', holdTimeSeconds: 3, keepaliveTimeSeconds: 1 });
  const routes = [{ prefix: `${vip}/32` }];
  const present = new RegExp(`^${vip.replaceAll('.', '\\.')} `);
  const gone = new RegExp(`^Deleted ${vip.replaceAll('.', '\\.')} `);
  try {
    let speaker = speak(one);
    await speaker.until('a session', ({ state }) => state === 'Established');
    const announced: number[] = [];
    const withdrawn: number[] = [];
    for (let i = 0; i < rounds; i++) {
      announced.push(await monitor.time(present, () => speaker.setRoutes(routes)));
      withdrawn.push(await monitor.time(gone, () => speaker.setRoutes([])));
    }
    rows.push({ what: 'a new route is in the kernel', value: shown(announced) });
    rows.push({ what: 'a withdrawn route is gone', value: shown(withdrawn) });

    const list = Array.from({ length: many }, (_, i) => ({ prefix: `100.64.${i >> 8}.${i & 255}/32` }));
    const all = /^100\.64\.\d+\.\d+ /;
    const none = /^Deleted 100\.64\.\d+\.\d+ /;
    const came = await monitor.time(all, () => speaker.setRoutes(list), many);
    const went = await monitor.time(none, () => speaker.setRoutes([]), many);
    rows.push({ what: `${many.toLocaleString('en')} routes at once`, value: ms(came) });
    rows.push({ what: `${many.toLocaleString('en')} withdrawn at once`, value: ms(went) });

    const killed: number[] = [];
    const cut: number[] = [];
    for (let i = 0; i < rounds + slowRounds; i++) {
      // Until it has its first session again: a killed one's successor is not held up by its predecessor.
      await speaker.kill();
      speaker = speak(one);
      const other = speak(two);
      for (const each of [speaker, other]) each.setRoutes(routes);
      await eventually('both ways', () =>
        router.kernelRoutes().some(({ via }) => via.length === 2) ? true : undefined,
      );
      // The route is replaced by one through the node that is left.
      const single = new RegExp(`^${vip.replaceAll('.', '\\.')} (nhid \\d+ )?via 10\\.9\\.0\\.1 `);
      if (i < rounds) killed.push(await monitor.time(single, () => other.kill()));
      else {
        cut.push(await monitor.time(single, () => two.cut()));
        two.reconnect();
        await other.kill();
      }
    }
    rows.push({ what: 'kill -9 of one of two speakers: the other carries all', value: shown(killed) });
    rows.push({ what: 'one of two nodes loses power, hold time 3 s, no BFD', value: shown(cut) });
  } finally {
    await router.stop();
    segment.close();
  }
  return rows;
}

/** A node that loses power, watched by BFD. */
async function measureBfd(kind: (typeof routerKinds)[number]): Promise<Row[]> {
  const segment = await openSegment();
  const routerHost = await segment.addHost('router', { ipv4: '10.9.0.254/24' });
  const host = await segment.addHost('one', { ipv4: '10.9.0.1/24' });
  const bfd = { intervalMs: 50, multiplier: 3 };
  const router = await kind.start(routerHost, [{ name: 'one', address: '10.9.0.1', asn: 64512, bfd }]);
  const monitor = new RouteMonitor(routerHost);
  const gone = new RegExp(`^Deleted ${vip.replaceAll('.', '\\.')} `);
  const routerKnows: number[] = [];
  const speakerKnows: number[] = [];
  try {
    for (let i = 0; i < rounds; i++) {
      const speaker = startSpeaker(host, { peerAddress: '10.9.0.254' }, {});
      speaker.setRoutes([{ prefix: `${vip}/32` }]);
      await speaker.until('BFD is up', ({ state, bfd: at }) => state === 'Established' && at === 'Up');
      await eventually('the route', () => (router.kernelRoutes().length === 1 ? true : undefined));
      // The fast timers are agreed upon after the session is up.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const startMs = performance.now();
      const known = speaker
        .until('it knows', ({ state }) => state !== 'Established')
        .then(() => speakerKnows.push(performance.now() - startMs));
      routerKnows.push(await monitor.time(gone, () => host.cut()));
      await known;
      await speaker.kill();
      host.reconnect();
    }
  } finally {
    await router.stop();
    segment.close();
  }
  return [
    { what: 'a node loses power, BFD 50 ms × 3: its route is gone', value: shown(routerKnows) },
    { what: '… the speaker has given the session up', value: shown(speakerKnows) },
  ];
}

for (const kind of routerKinds) {
  const missing = missingPeer(...kind.programs, ...(kind.kind === 'FRR' ? ['bfdd'] : []));
  if (missing === false)
    printTable(`BGP: what ${kind.kind} sees`, [
      ...(only === 'bfd' ? [] : await measure(kind)),
      ...(await measureBfd(kind)),
    ]);
  else console.log(`BGP with ${kind.kind}: ${missing}`);
}
