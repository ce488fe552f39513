// Real routers, BIRD 2 and FRR, in network namespaces: what they take from our sessions and put into their kernel.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SpeakerPeer } from './testing/session-process.ts';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { type Host, type Segment, openSegment } from '../testing/segment.ts';
import { type KernelRoute, type Router, eventually, routerKinds } from './testing/routers.ts';
import { type Speaker, startSpeaker } from './testing/speaker.ts';

const vip4 = '203.0.113.9/32';
const vip6 = '2001:db8:113::9/128';
const password = 'shared-secret';

for (const { kind, programs, start } of routerKinds)
  describe(`${kind} as the peer`, { skip: missingPeer(...programs) }, () => {
    let segment: Segment;
    let router: Router;
    let mistaken: Speaker;
    const hosts = new Map<string, Host>();
    const speakers: Speaker[] = [];

    before(async () => {
      segment = await openSegment();
      const routerHost = await segment.addHost('router', { ipv4: '10.9.0.254/24', ipv6: 'fd00:9::254/64' });
      for (const [name, n] of [
        ['one', 1],
        ['two', 2],
        ['six', 3],
        ['inner', 4],
        ['signed', 5],
        ['mistaken', 6],
        ['signed6', 7],
      ] as const)
        hosts.set(name, await segment.addHost(name, { ipv4: `10.9.0.${n}/24`, ipv6: `fd00:9::${n}/64` }));
      hosts.set('only6', await segment.addHost('only6', { ipv6: 'fd00:9::8/64' }));
      await addFarHost(routerHost);
      router = await start(routerHost, [
        { name: 'one', address: '10.9.0.1', asn: 64512 },
        { name: 'two', address: '10.9.0.2', asn: 64512 },
        { name: 'six', address: 'fd00:9::3', asn: 64512 },
        { name: 'inner', address: '10.9.0.4', asn: 64513 },
        { name: 'signed', address: '10.9.0.5', asn: 64512, password },
        { name: 'signed6', address: 'fd00:9::7', asn: 64512, password },
        { name: 'only6', address: 'fd00:9::8', asn: 64512 },
        { name: 'far', address: '10.8.0.1', asn: 64512, multihop: true },
        { name: 'mistaken', address: '10.9.0.6', asn: 64512, password },
      ]);
      // It takes ten seconds until it gives up: the other tests go on beside it.
      mistaken = startSpeaker(hosts.get('mistaken') as Host, {
        peerAddress: '10.9.0.254',
        password: 'another-one',
      });
    });
    after(async () => {
      await router?.stop();
      segment?.close();
    });

    afterEach(async () => {
      for (const speaker of speakers.splice(0)) await speaker.kill();
    });

    /** `far`, in a subnet of its own behind another router on the segment. */
    async function addFarHost(routerHost: Host): Promise<void> {
      const far = await segment.addHost('far', { ipv4: '10.8.0.1/24' });
      const middle = await segment.addHost('middle', { ipv4: '10.9.0.253/24' });
      hosts.set('far', far);
      middle.run('ip', 'address', 'add', '10.8.0.253/24', 'dev', 'eth0');
      // Both are on one wire: without this it would tell them so and they would speak directly.
      for (const scope of ['all', 'eth0'])
        middle.run('sh', '-c', `echo 0 > /proc/sys/net/ipv4/conf/${scope}/send_redirects`);
      middle.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
      far.run('ip', 'route', 'add', 'default', 'via', '10.8.0.253');
      routerHost.run('ip', 'route', 'add', '10.8.0.0/24', 'via', '10.9.0.253');
    }

    const speak = (host: string, peer: SpeakerPeer = {}): Speaker => {
      const speaker = startSpeaker(hosts.get(host) as Host, { peerAddress: '10.9.0.254', ...peer });
      speakers.push(speaker);
      return speaker;
    };
    const installed = (prefix: string): KernelRoute | undefined =>
      router.kernelRoutes().find((route) => route.prefix === prefix);
    const untilInstalled = (prefix: string, ways = 1): Promise<KernelRoute> =>
      eventually(`${prefix} by ${ways} in the router's kernel`, () => {
        const route = installed(prefix);
        return route?.via.length === ways ? route : undefined;
      });
    const untilGone = (prefix: string): Promise<true> =>
      eventually(`${prefix} gone from the router's kernel`, () => (installed(prefix) ? undefined : true));
    /** What the router itself says of a route, its words for communities brought to one form. */
    const told = async (prefix: string): Promise<string> => {
      const [address = ''] = prefix.split('/');
      const family = address.includes(':') ? 'ipv6' : 'ipv4';
      const text = await router.show(
        kind === 'FRR' ? `show bgp ${family} unicast ${prefix} json` : `show route for ${prefix} all`,
      );
      return text.replaceAll(/\((\d+), ?(\d+)(?:, ?(\d+))?\)/g, (_, a, b, c) =>
        c === undefined ? `${a}:${b}` : `${a}:${b}:${c}`,
      );
    };

    it('takes IPv4 and IPv6 routes over an IPv4 session, with communities, and lets go of them', async () => {
      const speaker = speak('one');
      speaker.setRoutes([
        {
          prefix: vip4,
          communities: [
            { type: 'standard', high: 64512, low: 1234 },
            { type: 'large', global: 64512, local1: 77, local2: 88 },
          ],
        },
        { prefix: vip6 },
      ]);
      assert.deepEqual((await untilInstalled(vip4)).via, ['10.9.0.1']);
      const [six = ''] = (await untilInstalled(vip6)).via;
      assert.match(six, /^(fd00:9::1|fe80::)/);
      const text = await told(vip4);
      assert.match(text, /64512:1234/);
      assert.match(text, /64512:77:88/);
      speaker.setRoutes([]);
      await untilGone(vip4);
      await untilGone(vip6);
      await speaker.until(
        'it has nothing to tell',
        (status) => status.advertisedRoutes === 0 && status.state === 'Established',
      );
      speaker.setRoutes([{ prefix: vip4 }]);
      await untilInstalled(vip4);
      await speaker.stop('shutdown');
      await untilGone(vip4);
    });

    it('takes both over an IPv6 session', async () => {
      const speaker = speak('six', { peerAddress: 'fd00:9::254' });
      speaker.setRoutes([{ prefix: vip4 }, { prefix: vip6 }]);
      assert.deepEqual((await untilInstalled(vip4)).via, ['10.9.0.3']);
      await untilInstalled(vip6);
      await speaker.stop('shutdown');
      await untilGone(vip4);
    });

    if (kind === 'BIRD 2')
      // FRR 8.4 resets each connection, before any OPEN, of a numbered neighbour with `capability extended-nexthop`.
      it('takes IPv4 routes by an IPv6 next hop from a node without IPv4', async () => {
        const speaker = speak('only6', { peerAddress: 'fd00:9::254' });
        speaker.setRoutes([{ prefix: vip4 }]);
        const [via = ''] = (await untilInstalled(vip4)).via;
        assert.match(via, /^(fd00:9::8|fe80::)/);
        await speaker.stop('shutdown');
        await untilGone(vip4);
      });

    it('hears the local preference of an internal speaker', async () => {
      const speaker = speak('inner', { myAsn: 64513, peerAsn: 'internal' });
      speaker.setRoutes([{ prefix: vip4, localPref: 321 }]);
      await untilInstalled(vip4);
      assert.match(await told(vip4), kind === 'FRR' ? /"locPrf":321/ : /local_pref: 321/);
      await speaker.stop('shutdown');
      await untilGone(vip4);
    });

    it('shares the load among nodes, and goes on with those that are left', async () => {
      const one = speak('one');
      const two = speak('two');
      for (const speaker of [one, two]) speaker.setRoutes([{ prefix: vip4 }, { prefix: vip6 }]);
      assert.deepEqual((await untilInstalled(vip4, 2)).via, ['10.9.0.1', '10.9.0.2']);
      await untilInstalled(vip6, 2);
      await two.kill();
      assert.deepEqual((await untilInstalled(vip4, 1)).via, ['10.9.0.1']);
      await one.stop('shutdown');
      await untilGone(vip4);
    });

    for (const [host, peerAddress] of [
      ['signed', '10.9.0.254'],
      ['signed6', 'fd00:9::254'],
    ] as const)
      it(`with the same TCP MD5 password, to ${peerAddress}`, async () => {
        const speaker = speak(host, { peerAddress, password });
        speaker.setRoutes([{ prefix: vip4 }]);
        await untilInstalled(vip4);
        await speaker.stop('shutdown');
        await untilGone(vip4);
      });

    it('reaches a router two hops away with ebgpMultiHop, and not without', async () => {
      const near = speak('far');
      const { lastError } = await near.until('it failed', (status) => status.lastError !== undefined);
      assert.match(lastError ?? '', /EHOSTUNREACH/);
      await near.kill();
      const far = speak('far', { ebgpMultiHop: true });
      far.setRoutes([{ prefix: vip4 }]);
      await far.until('it has told its route', ({ advertisedRoutes }) => advertisedRoutes === 1);
      await far.stop('shutdown');
    });

    it('keeps the routes of a speaker that is killed and comes back', async () => {
      const peer = { enableGracefulRestart: true };
      const first = speak('one', peer);
      first.setRoutes([{ prefix: vip4 }, { prefix: vip6 }]);
      await untilInstalled(vip4);
      await untilInstalled(vip6);
      let gaps = 0;
      const watch = setInterval(() => {
        if (!installed(vip4) || !installed(vip6)) gaps += 1;
      }, 20);
      await first.kill();
      const second = speak('one', peer);
      // The second has one route fewer: it goes when the end of its routes is told, not before.
      await second.until('a session', ({ state }) => state === 'Established');
      await sleep(200);
      clearInterval(watch);
      assert.equal(gaps, 0, 'no look found a route missing');
      second.setRoutes([{ prefix: vip4 }]);
      await untilGone(vip6);
      assert.ok(installed(vip4));
      await second.stop('restart');
      await sleep(300);
      assert.ok(installed(vip4), 'an orderly stop for a restart leaves the route too');
      // After a boot nothing was forwarded: the route goes with the new session, and before there is a list of routes.
      const third = speak('one', { ...peer, forwardingPreserved: false });
      await untilGone(vip4);
      third.setRoutes([{ prefix: vip4 }]);
      await untilInstalled(vip4);
      await third.stop('shutdown');
      await untilGone(vip4);
    });

    it('with another TCP MD5 password the status says what it may be', async () => {
      const { lastError, state } = await mistaken.until(
        'it gave up',
        (status) => status.lastError !== undefined,
      );
      assert.match(lastError ?? '', /no answer from 10\.9\.0\.254 port 179 .* another TCP MD5 password/);
      assert.equal(state, 'Connect');
      await mistaken.kill();
    });
  });
