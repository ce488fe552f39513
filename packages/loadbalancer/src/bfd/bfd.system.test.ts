// Real routers with BFD, BIRD 2 and FRR, in network namespaces: how soon each end knows that the path is dead.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Router, eventually, routerKinds } from '../bgp/testing/routers.ts';
import { type Speaker, startSpeaker } from '../bgp/testing/speaker.ts';
import type { BfdProfile, BgpPeer } from '../config/config.ts';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { type Host, type Segment, openSegment } from '../testing/segment.ts';

const vip = '203.0.113.9';
const fast = { intervalMs: 50, multiplier: 3 };
/** The detection time is 150 ms; the rest is the router's own work, and for machines that are busy. */
const goneWithinMs = 500;

for (const { kind, programs, start } of routerKinds)
  describe(
    `BFD with ${kind}`,
    { skip: missingPeer(...programs, ...(kind === 'FRR' ? ['bfdd'] : [])) },
    () => {
      let segment: Segment;
      let routerHost: Host;
      let router: Router;
      let deletedAt: number[] = [];
      const hosts = new Map<string, Host>();
      const speakers: Speaker[] = [];

      before(async () => {
        segment = await openSegment();
        routerHost = await segment.addHost('router', { ipv4: '10.9.0.254/24', ipv6: 'fd00:9::254/64' });
        for (const [name, n] of [
          ['four', 1],
          ['six', 2],
          ['far', 3],
        ] as const)
          hosts.set(name, await segment.addHost(name, { ipv4: `10.9.0.${n}/24`, ipv6: `fd00:9::${n}/64` }));
        router = await start(routerHost, [
          { name: 'four', address: '10.9.0.1', asn: 64512, bfd: fast },
          { name: 'six', address: 'fd00:9::2', asn: 64512, bfd: fast },
          { name: 'far', address: '10.9.0.3', asn: 64512, bfd: fast, multihop: true },
        ]);
        const monitor = routerHost.start('ip', ['monitor', 'route']);
        createInterface({ input: monitor.stdout! }).on('line', (line) => {
          if (line.startsWith(`Deleted ${vip}`)) deletedAt.push(performance.now());
        });
      });
      after(async () => {
        await router?.stop();
        segment?.close();
      });
      afterEach(async () => {
        for (const speaker of speakers.splice(0)) await speaker.kill();
        for (const host of hosts.values()) host.reconnect();
        await eventually('no route left', () => (router.kernelRoutes().length === 0 ? true : undefined));
        deletedAt = [];
      });

      const speak = async (
        host: string,
        peer: Partial<BgpPeer> = {},
        bfd: Partial<BfdProfile> = {},
      ): Promise<Speaker> => {
        const speaker = startSpeaker(hosts.get(host) as Host, { peerAddress: '10.9.0.254', ...peer }, bfd);
        speakers.push(speaker);
        speaker.setRoutes([{ prefix: `${vip}/32` }]);
        await speaker.until(
          'BGP and BFD are up',
          ({ state, bfd: at }) => state === 'Established' && at === 'Up',
        );
        await eventually('the route', () => (router.kernelRoutes().length === 1 ? true : undefined));
        // The poll sequence has given both ends their intervals.
        await sleep(300);
        return speaker;
      };

      for (const [what, host, peer, bfd] of [
        ['IPv4', 'four', {}, {}],
        ['IPv6', 'six', { peerAddress: 'fd00:9::254' }, {}],
        // BIRD sends with the kernel's TTL of 64.
        ['several hops', 'far', { ebgpMultiHop: true }, { minimumTtl: kind === 'FRR' ? 254 : 64 }],
      ] as const)
        it(`over ${what}: both ends know of a cut within the detection time`, async (t) => {
          const speaker = await speak(host, peer, bfd);
          const cutAt = performance.now();
          (hosts.get(host) as Host).cut();
          const known = speaker.until('it knows', ({ state }) => state !== 'Established');
          const { lastError } = await known;
          const knownMs = performance.now() - cutAt;
          await eventually('the route is gone', () => (deletedAt.length > 0 ? true : undefined));
          const goneMs = (deletedAt[0] as number) - cutAt;
          t.diagnostic(
            `the speaker knew after ${knownMs.toFixed(0)} ms, the route was gone after ${goneMs.toFixed(0)} ms`,
          );
          assert.match(lastError ?? '', /BFD.*control detection time expired/);
          assert.ok(knownMs < goneWithinMs && goneMs < goneWithinMs, `${knownMs} ms, ${goneMs} ms`);
        });

      it('a main thread that does nothing for two seconds is not taken for a dead node', async () => {
        const speaker = await speak('four');
        const before = speaker.reports.length;
        speaker.stall(2000);
        await sleep(2500);
        assert.deepEqual(deletedAt, []);
        assert.deepEqual(
          speaker.reports.slice(before).filter(({ bfd }) => bfd !== 'Up'),
          [],
        );
      });

      it('a speaker that stops is not taken for a path that died', async () => {
        const speaker = await speak('four');
        await speaker.stop('shutdown');
        await eventually('the route is gone', () => (deletedAt.length > 0 ? true : undefined));
        const again = await speak('four');
        assert.equal(again.reports.at(-1)?.bfd, 'Up');
      });
    },
  );
