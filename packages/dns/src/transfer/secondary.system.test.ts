// Ours as a secondary of BIND, NSD and Knot: AXFR, NOTIFY, IXFR, all signed.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { ZoneRegistry } from '../zone/registry.ts';
import type { ServedZone } from '../zone/zones.ts';
import type { TsigKey } from './keys.ts';
import { createRequestHandler } from './request-handler.ts';
import { type Secondaries, startSecondaries } from './secondaries.ts';
import { LogRecord } from './testing/log-record.ts';
import { isolateWith, until } from './testing/loopback.ts';
import { type PeerServer, runTool, startBind, startKnot, startNsd } from './testing/name-servers.ts';
import { startRequestServer } from './testing/request-server.ts';

const key: TsigKey = {
  name: 'k2.example',
  algorithm: 'hmac-sha512',
  secret: Buffer.from('not a secret, but long enough to be one'),
};
const own = '127.0.0.1';
const rounds = Number(process.env['ROUNDS'] ?? 5);
const primaries = [
  { name: 'BIND', start: startBind, address: '127.0.0.2', origin: 'bind.example' },
  { name: 'NSD', start: startNsd, address: '127.0.0.3', origin: 'nsd.example' },
  { name: 'Knot', start: startKnot, address: '127.0.0.4', origin: 'knot.example' },
];

/** A zone whose version shows in its records: some stay, one changes, one comes and one goes. */
function zoneText(serial: number): string {
  const names = Array.from({ length: 40 }, (_, i) => `h${i} A 10.1.0.${i}`).join('\n');
  return `$TTL 60
@ SOA ns1 hostmaster ${serial} 3600 2 604800 5
@ NS ns1
ns1 A 192.0.2.1
${names}
version TXT "serial ${serial}"
v${serial} AAAA 2001:db8::${serial}
odd TYPE65280 \\# 3 010203
*.wild MX 10 mail.${serial % 2 === 0 ? 'even' : 'odd'}
`;
}

describe(
  'a secondary of BIND, NSD and Knot',
  { skip: missingPeer('named', 'nsd', 'knotd', 'dig', 'ldns-notify'), timeout: 60_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'transfer-secondary-'));
    const zones = new ZoneRegistry();
    const record = new LogRecord();
    const parts: Running[] = [];
    const peers = new Map<string, PeerServer>();
    let secondaries: Secondaries;

    before(async () => {
      isolateWith(primaries.map(({ address }) => address));
      await Promise.all(
        primaries.map(async ({ start, address, origin }) => {
          mkdirSync(join(folder, address));
          const zone = { origin, text: zoneText(1), notify: [own] };
          const peer = await start({ folder: join(folder, address), address, key, zones: [zone] });
          peers.set(address, peer);
          parts.push(peer);
        }),
      );
      const config = {
        tsigKeys: [key],
        transfers: { allow: [], notify: [] },
        updates: { allow: [] },
        secondaries: new Map(
          primaries.map(({ origin, address }) => [
            origin,
            // The first is nobody: it is passed over each time.
            {
              primaries: [
                { address: '127.0.0.99', port: 53, key: key.name },
                { address, port: 53, key: key.name },
              ],
            },
          ]),
        ),
      };
      const options = { zones, config: () => config, log: record.log, clock: systemClock };
      secondaries = startSecondaries(options);
      parts.push(secondaries);
      const handler = createRequestHandler({
        ...options,
        notified: (zone, from) => secondaries.notified(zone, from),
      });
      parts.push(await startRequestServer(handler, { address: own, port: 53 }));
    });

    after(async () => {
      if (process.env['LEVEL'] !== undefined) for (const peer of peers.values()) console.log(peer.output());
      for (const part of parts.reverse()) await part.stop();
      rmSync(folder, { recursive: true });
    });

    const serialOf = (origin: string): number | undefined => zones.all.get(origin)?.zone.serial;

    for (const { name, origin, address } of primaries)
      it(`receives a zone of ${name}, and each change by a difference soon after its NOTIFY`, async () => {
        const [seen, peer] = [new Set<number>(), peers.get(address) as PeerServer];
        const end = zones.onChange(({ origin: changed, current }) => {
          if (changed === origin && current) seen.add(current.zone.serial);
        });
        await until(
          () => serialOf(origin) === 1,
          () => peer.output(),
        );
        for (let serial = 2; serial <= 1 + rounds; serial++) {
          peer.reload(origin, zoneText(serial));
          await until(
            () => serialOf(origin) === serial,
            () => `serial ${serialOf(origin)}\n${peer.output()}`,
          );
        }
        end();
        const serials = [...seen];
        assert.deepEqual(
          serials,
          serials.toSorted((a, b) => a - b),
        );
        assert.ok(record.has(new RegExp(`"${origin}.*"style":"steps"`)), 'no IXFR was used');
        const { zone } = zones.all.get(origin) as ServedZone;
        assert.ok(zone.node(`v${1 + rounds}.${origin}`) && !zone.node(`v${rounds}.${origin}`));
        assert.deepEqual(zone.node(`odd.${origin}`)?.rrset(65280)?.data, [Buffer.of(1, 2, 3)]);
        assert.equal(zone.recordCount, 47);
        assert.deepEqual(secondaries.status().find((one) => one.origin === origin)?.state, 'serving');
      });

    it('takes NOTIFY from its primaries alone, and says so', async () => {
      const fromPrimary = await runTool('ldns-notify', ['-z', 'bind.example', '-I', '127.0.0.2', own]);
      assert.match(fromPrimary.text, /NOERROR/);
      const stranger = await runTool('ldns-notify', ['-z', 'bind.example', own]);
      assert.match(stranger.text, /REFUSED/);
      const nowhere = await runTool('ldns-notify', ['-z', 'other.example', own]);
      assert.match(nowhere.text, /NOTAUTH/);
    });

    it('is no primary: an update is refused, with the reason', async () => {
      const script = `server ${own}\nzone bind.example\nupdate add x.bind.example 60 A 192.0.2.1\nsend\n`;
      const { text } = await runTool('nsupdate', ['-v'], script);
      assert.match(text, /REFUSED/);
    });
  },
);
