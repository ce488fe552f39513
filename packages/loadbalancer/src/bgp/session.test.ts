import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { BfdSession, BfdState } from '../bfd/bfd.ts';
import type { BgpPeer } from '../config/config.ts';
import type { BgpRoute, BgpSession, BgpSessionStatus } from './bgp.ts';
import { bgpMetrics } from './metrics.ts';
import { type BgpSessionOptions, startBgpSession } from './session.ts';
import {
  type PassivePeer,
  type PassivePeerSettings,
  allCapabilities,
  bgpPeer,
  routeRefreshFrame,
  startPassivePeer,
} from './testing/passive-peer.ts';
import { encodeFrame, keepaliveFrame } from './wire/frame.ts';
import type { Incoming } from './wire/incoming.ts';

const log = logger('bgp-test').child({}, { level: 'silent' });

const route = (prefix: string, more: Partial<BgpRoute> = {}): BgpRoute => ({
  prefix,
  localPref: 0,
  communities: [],
  ...more,
});

const interfaces: NonNullable<BgpSessionOptions['interfaces']> = () => ({
  lo: [
    {
      address: '127.0.0.1',
      netmask: '255.0.0.0',
      family: 'IPv4',
      mac: '',
      internal: true,
      cidr: '127.0.0.1/8',
    },
    {
      address: '2001:db8::1',
      netmask: 'ffff:ffff:ffff:ffff::',
      family: 'IPv6',
      mac: '',
      internal: false,
      cidr: '2001:db8::1/64',
      scopeid: 0,
    },
    {
      address: 'fe80::1',
      netmask: 'ffff:ffff:ffff:ffff::',
      family: 'IPv6',
      mac: '',
      internal: false,
      cidr: 'fe80::1/64',
      scopeid: 1,
    },
  ],
});

const blockRoutes = 1200;

/** Routes that fill a message each, 4.9 MB together: more than the kernel takes for a peer that reads nothing. */
function block(n: number): BgpRoute[] {
  const common = Array.from({ length: 900 }, (_, low) => ({ type: 'standard' as const, high: n, low }));
  return Array.from({ length: blockRoutes }, (_, i) =>
    route(`${n}.0.${i >> 8}.${i & 255}/32`, {
      communities: [...common, { type: 'large', global: n, local1: i, local2: 0 }],
    }),
  );
}

describe('a BGP session', () => {
  const open: Array<{ stop(): Promise<void> } | { close(): Promise<void> }> = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await ('stop' in one ? one.stop() : one.close());
  });

  async function start(
    settings: PassivePeerSettings = {},
    overrides: Partial<BgpPeer> = {},
    options: Partial<BgpSessionOptions> = {},
  ): Promise<{ peer: PassivePeer; session: BgpSession }> {
    const peer = await startPassivePeer(settings);
    open.push(peer);
    const session = startBgpSession({
      peer: bgpPeer({ peerPort: peer.port, ...overrides }),
      nodeName: 'node-1',
      log,
      interfaces,
      ...options,
    });
    open.push(session);
    return { peer, session };
  }

  const notifications = (peer: PassivePeer) =>
    peer.received.flatMap((one) =>
      one.type === 'notification' ? [`${one.notification.code}/${one.notification.subcode}`] : [],
    );
  const updates = (peer: PassivePeer) =>
    peer.received.flatMap((one: Incoming) => (one.type === 'update' ? [one.update] : []));

  const until = (
    session: BgpSession,
    what: (status: BgpSessionStatus) => boolean,
  ): Promise<BgpSessionStatus> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        unsubscribe();
        reject(new Error(`the session waited 10 s in vain: ${JSON.stringify(session.status())}`));
      }, 10_000);
      const look = (): void => {
        if (!what(session.status())) return;
        clearTimeout(timer);
        unsubscribe();
        resolve(session.status());
      };
      const unsubscribe = session.subscribe(look);
      look();
    });

  it('tells IPv4 and IPv6 routes over one IPv4 session, then the ends of them', async () => {
    const { peer, session } = await start();
    session.setRoutes([
      route('192.0.2.9/32', { communities: [{ type: 'standard', high: 65535, low: 666 }] }),
      route('2001:db8:9::9/128', { communities: [{ type: 'large', global: 1, local1: 2, local2: 3 }] }),
    ]);
    await peer.until('both ends were told', () => updates(peer).some(({ endOfRib }) => endOfRib === 'ipv6'));
    assert.deepEqual([...peer.routes.keys()].sort(), ['192.0.2.9/32', '2001:db8:9::9/128']);
    const four = peer.routes.get('192.0.2.9/32');
    assert.deepEqual(four?.nextHops, ['127.0.0.1']);
    assert.deepEqual(four?.asPath, [64512]);
    assert.deepEqual(four?.communities, [{ type: 'standard', high: 65535, low: 666 }]);
    assert.equal(four?.localPref, undefined);
    const six = peer.routes.get('2001:db8:9::9/128');
    assert.deepEqual(six?.nextHops, ['2001:db8::1', 'fe80::1']);
    assert.deepEqual(six?.communities, [{ type: 'large', global: 1, local1: 2, local2: 3 }]);
    assert.equal(session.status().state, 'Established');
    assert.equal(session.status().advertisedRoutes, 2);
  });

  it('tells nothing, not even the end of the routes, before the routes are known', async () => {
    const { peer, session } = await start({}, { enableGracefulRestart: true });
    await until(session, ({ state }) => state === 'Established');
    assert.deepEqual(updates(peer), []);
    session.setRoutes([]);
    await peer.until('the ends were told', () => updates(peer).length === 2);
    assert.deepEqual(
      updates(peer).map(({ endOfRib }) => endOfRib),
      ['ipv4', 'ipv6'],
    );
  });

  it('sends differences only, withdrawals first', async () => {
    const { peer, session } = await start();
    session.setRoutes([route('192.0.2.1/32'), route('192.0.2.2/32'), route('192.0.2.3/32')]);
    await peer.until('the routes came', () => peer.routes.size === 3);
    const before = updates(peer).length;
    session.setRoutes([
      route('192.0.2.1/32'),
      route('192.0.2.3/32', { communities: [{ type: 'standard', high: 1, low: 2 }] }),
      route('192.0.2.4/32'),
    ]);
    await peer.until(
      'the change came',
      () => peer.routes.has('192.0.2.4/32') && !peer.routes.has('192.0.2.2/32'),
    );
    const changes = updates(peer).slice(before);
    assert.deepEqual(
      changes.map(({ announced, withdrawn }) => [announced, withdrawn]),
      [
        [[], ['192.0.2.2/32']],
        [['192.0.2.3/32'], []],
        [['192.0.2.4/32'], []],
      ],
    );
    const sent = session.counters().updatesSent;
    session.setRoutes([
      route('192.0.2.4/32'),
      route('192.0.2.1/32'),
      route('192.0.2.3/32', { communities: [{ type: 'standard', high: 1, low: 2 }], localPref: 300 }),
    ]);
    assert.equal(session.counters().updatesSent, sent, 'order and an external LOCAL_PREF change nothing');
  });

  it('packs 10,000 prefixes with the same attributes into few messages', async () => {
    const { peer, session } = await start();
    const prefixes = Array.from({ length: 10_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}/32`);
    session.setRoutes(prefixes.map((prefix) => route(prefix)));
    await peer.until('all came', () => peer.routes.size === 10_000);
    // 5 bytes each, of about 4,030 that the attributes leave.
    assert.equal(updates(peer).filter(({ announced }) => announced.length > 0).length, 13);
    session.setRoutes([]);
    await peer.until('all went', () => peer.routes.size === 0);
  });

  it('an internal peer hears LOCAL_PREF and an empty path', async () => {
    const { peer, session } = await start({ asn: 64512 }, { peerAsn: 'internal' });
    session.setRoutes([route('192.0.2.1/32', { localPref: 250 }), route('192.0.2.2/32')]);
    await peer.until('the routes came', () => peer.routes.size === 2);
    assert.equal(peer.routes.get('192.0.2.1/32')?.localPref, 250);
    assert.equal(peer.routes.get('192.0.2.2/32')?.localPref, 100);
    assert.deepEqual(peer.routes.get('192.0.2.1/32')?.asPath, []);
  });

  it('an AS number of four octets is AS_TRANS to a peer of two', async () => {
    const { peer, session } = await start(
      { capabilities: { ...allCapabilities, fourOctetAsn: undefined } },
      { myAsn: 4_200_000_000 },
    );
    session.setRoutes([route('192.0.2.1/32')]);
    await peer.until('the route came', () => peer.routes.size === 1);
    assert.deepEqual(peer.routes.get('192.0.2.1/32')?.asPath, [23456]);
  });

  it('a peer without capabilities hears IPv4 routes, and the status says why not the others', async () => {
    const { peer, session } = await start({ capabilities: undefined });
    session.setRoutes([route('192.0.2.1/32'), route('2001:db8::9/128')]);
    await peer.until('the route came', () => peer.routes.size === 1);
    assert.deepEqual(session.status().untold, [
      { prefix: '2001:db8::9/128', why: 'the peer does not speak ipv6 unicast in this session' },
    ]);
    assert.deepEqual(
      updates(peer).map(({ endOfRib }) => endOfRib),
      [undefined],
    );
  });

  it('tells all routes of a family again when asked', async () => {
    const { peer, session } = await start();
    session.setRoutes([route('192.0.2.1/32'), route('2001:db8::9/128')]);
    await peer.until('the routes came', () => peer.routes.size === 2);
    const before = updates(peer).length;
    peer.send(routeRefreshFrame(1));
    await peer.until('one came again', () => updates(peer).length > before);
    assert.deepEqual(
      updates(peer)
        .slice(before)
        .map(({ announced }) => announced),
      [['192.0.2.1/32']],
    );
  });

  it('a peer of another AS is refused, and the status says which', async () => {
    const { peer, session } = await start({ asn: 64999 });
    await peer.until('it was refused', () => notifications(peer).length > 0);
    assert.equal(notifications(peer)[0], '2/2');
    assert.match(
      session.status().lastError ?? '',
      /^sent: OPEN message error: bad peer AS: the peer is AS 64999, the configuration wants 64513$/,
    );
  });

  it('after a malformed message comes its NOTIFICATION, and then a new session with the same routes', async () => {
    const { peer, session } = await start();
    session.setRoutes([route('192.0.2.1/32')]);
    await peer.until('the route came', () => peer.routes.size === 1);
    // ORIGIN of 3.
    peer.send(encodeFrame(2, Buffer.from([0, 0, 0, 4, 0x40, 1, 1, 3])));
    await peer.until('it was refused', () => notifications(peer).length === 1);
    assert.deepEqual(notifications(peer), ['3/6']);
    assert.match(session.status().lastError ?? '', /invalid ORIGIN/);
    await peer.until('the route came again', () => peer.connections === 2 && peer.routes.size === 1);
    assert.equal(session.status().lastError, undefined);
  });

  it('goes on after the peer reset the connection', async () => {
    const { peer, session } = await start();
    session.setRoutes([route('192.0.2.1/32')]);
    await peer.until('the route came', () => peer.routes.size === 1);
    peer.socket?.resetAndDestroy();
    const { lastError } = await until(session, ({ state }) => state === 'Active');
    assert.match(lastError ?? '', /ECONNRESET/);
    await peer.until('the route came again', () => peer.connections === 2 && peer.routes.size === 1);
  });

  it('says what it may be when the peer hangs up before its OPEN', async () => {
    const { peer, session } = await start({ mute: true });
    await peer.until('it was dialled', () => peer.socket !== undefined);
    peer.socket?.end();
    const { lastError } = await until(session, ({ state }) => state === 'Active');
    assert.equal(
      lastError,
      'the peer closed the connection before its OPEN: it may not have this node as a neighbour',
    );
  });

  it('gathers changes while the peer takes nothing in', async () => {
    const { peer, session } = await start({ receiveBufferBytes: 8192 });
    await until(session, ({ state }) => state === 'Established');
    peer.socket?.pause();
    for (const n of [11, 12, 13]) {
      session.setRoutes(block(n));
      await new Promise((resolve) => setImmediate(resolve));
    }
    session.setRoutes([route('192.0.2.1/32')]);
    assert.equal(
      session.status().advertisedRoutes,
      blockRoutes,
      'what followed the first block has not been sent',
    );
    peer.socket?.resume();
    await peer.until('the last change came', () => peer.routes.size === 1 && peer.routes.has('192.0.2.1/32'));
    const seen = new Set(updates(peer).flatMap(({ announced }) => announced.map((one) => one.split('.')[0])));
    assert.deepEqual(seen, new Set(['11', '192']));
  });

  it('gives up a peer that talks and takes nothing in for eight minutes (RFC 9687)', async () => {
    const clock = new FakeClock();
    const { peer, session } = await start({ receiveBufferBytes: 8192 }, {}, { clock });
    await until(session, ({ state }) => state === 'Established');
    peer.socket?.pause();
    session.setRoutes(block(11));
    session.setRoutes([]);
    for (let minute = 0; minute < 9 && session.status().state === 'Established'; minute++) {
      const { keepalivesReceived } = session.counters();
      peer.send(keepaliveFrame());
      for (; session.counters().keepalivesReceived === keepalivesReceived;)
        await new Promise((resolve) => setImmediate(resolve));
      clock.advance(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(
      session.status().lastError,
      'sent: send hold timer expired: the peer took nothing in for 480 s',
    );
  });

  it('says that nobody listens', async () => {
    const { peer, session } = await start();
    await until(session, ({ state }) => state === 'Established');
    await peer.close();
    const status = await until(session, ({ lastError }) => /ECONNREFUSED/.test(lastError ?? ''));
    assert.equal(status.state, 'Active');
  });

  it('says what is wrong with a source address that is not here', async () => {
    const { session } = await start({}, { sourceAddress: '192.0.2.77' });
    const status = await until(session, ({ lastError }) => lastError !== undefined);
    assert.match(status.lastError ?? '', /EADDRNOTAVAIL.*192\.0\.2\.77/);
  });

  it('stopping tells the peer that this was on purpose', async () => {
    const { peer, session } = await start({}, { enableGracefulRestart: true });
    await until(session, ({ state }) => state === 'Established');
    await session.stop();
    await peer.until('it was told', () => peer.socket === undefined);
    assert.deepEqual(notifications(peer), ['6/2']);
  });

  it('stopping for a restart says nothing where graceful restart was agreed', async () => {
    const { peer, session } = await start({}, { enableGracefulRestart: true });
    await until(session, ({ state }) => state === 'Established');
    await session.stop('restart');
    await peer.until('it ended', () => peer.socket === undefined);
    assert.deepEqual(notifications(peer), []);
  });

  it('stopping for a restart is a shutdown where it was not agreed', async () => {
    const { peer, session } = await start();
    await until(session, ({ state }) => state === 'Established');
    await session.stop('restart');
    await peer.until('it ended', () => peer.socket === undefined);
    assert.deepEqual(notifications(peer), ['6/2']);
  });

  it('says in its first OPEN that it has restarted, and in the next that it has not', async () => {
    const { peer, session } = await start({}, { enableGracefulRestart: true }, { forwardingPreserved: true });
    const restarts = () =>
      peer.received.flatMap((one) => (one.type === 'open' ? [one.open.capabilities?.gracefulRestart] : []));
    await until(session, ({ state }) => state === 'Established');
    peer.socket?.destroy();
    await peer.until('there is a second session', () => restarts().length === 2);
    const families = [
      { family: 'ipv4', forwarding: true },
      { family: 'ipv6', forwarding: true },
    ];
    assert.deepEqual(restarts(), [
      { restarted: true, restartTimeSeconds: 120, families },
      { restarted: false, restartTimeSeconds: 120, families },
    ]);
  });

  it('BFD that goes down takes the session with it at once; one that never came up does not', async () => {
    let hear: ((state: BfdState, diagnostic: string) => void) | undefined;
    let stopped = 0;
    const bfd: BfdSession & { state: BfdState } = {
      state: 'Down',
      counters: () => ({ packetsReceived: 0, packetsSent: 0, ups: 0, downs: 0 }),
      subscribe(listener) {
        hear = listener;
        return () => undefined;
      },
      stop: async () => void (stopped += 1),
      [Symbol.asyncDispose]: async () => undefined,
    };
    const turn = (state: BfdState, diagnostic: string): void => {
      bfd.state = state;
      hear?.(state, diagnostic);
    };
    const ends: unknown[] = [];
    const { peer, session } = await start({}, {}, { bfd: (given) => (ends.push(given), bfd) });
    await until(session, ({ state }) => state === 'Established');
    assert.deepEqual(ends, [{ localAddress: '127.0.0.1', peerAddress: '127.0.0.1', multihop: false }]);
    turn('Down', 'No Diagnostic');
    turn('AdminDown', 'No Diagnostic');
    assert.equal(session.status().state, 'Established');
    turn('Up', 'No Diagnostic');
    assert.equal(session.status().bfd, 'Up');
    turn('Down', 'Control Detection Time Expired');
    assert.equal(session.status().state, 'Idle');
    assert.equal(session.status().lastError, 'sent: cease: BFD down: Control Detection Time Expired');
    await peer.until('it was told', () => notifications(peer).length > 0);
    assert.deepEqual(notifications(peer), ['6/10']);
    await until(session, ({ state }) => state === 'Established');
    await session.stop();
    assert.equal(stopped, 1);
  });

  it("counts under MetalLB's names", async () => {
    const { peer, session } = await start();
    session.setRoutes([route('192.0.2.1/32'), route('192.0.2.2/32')]);
    await peer.until('the routes came', () => peer.routes.size === 2);
    const label = `{peer="127.0.0.1:${peer.port}"}`;
    const text = bgpMetrics([session]);
    for (const line of ['session_up', 'announced_prefixes_total', 'pending_prefixes_total', 'updates_total'])
      assert.match(text, new RegExp(`^# TYPE metallb_bgp_${line} `, 'm'));
    assert.ok(text.includes(`metallb_bgp_session_up${label} 1\n`));
    assert.ok(text.includes(`metallb_bgp_announced_prefixes_total${label} 2\n`));
    assert.ok(text.includes(`metallb_bgp_updates_total${label} 3\n`), 'one UPDATE and two ends');
    await session.stop();
    assert.ok(bgpMetrics([session]).includes(`metallb_bgp_session_up${label} 0\n`));
  });
});
