// Ours as the primary: dig, kdig and nsupdate speak to it; BIND, NSD and Knot follow it as secondaries.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { addressData } from '../wire/rdata.ts';
import { isSerialHigher } from '../zone/build.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import { printZone } from '../zone/text/print.ts';
import type { Zone } from '../zone/zone.ts';
import type { TsigKey } from './keys.ts';
import { startNotifier } from './notifier.ts';
import { createRequestHandler } from './request-handler.ts';
import { LogRecord } from './testing/log-record.ts';
import { isolateWith, serialAt, until } from './testing/loopback.ts';
import { type PeerServer, runTool, startBind, startKnot, startNsd } from './testing/name-servers.ts';
import { startRequestServer } from './testing/request-server.ts';
import { MemoryKeeper, testZone } from './testing/test-zones.ts';

const key: TsigKey = {
  name: 'k1.example',
  algorithm: 'hmac-sha256',
  secret: Buffer.from('not a secret, but 32 octets long'),
};
const otherKey: TsigKey = { ...key, name: 'k2.example', algorithm: 'hmac-sha1' };
const argumentOf = ({ algorithm, name, secret }: TsigKey): string =>
  `${algorithm}:${name}:${secret.toString('base64')}`;
const origin = 'zone.example';
const largeOrigin = 'large.example';
const own = '127.0.0.1';
const secondaries = [
  { name: 'BIND', start: startBind, address: '127.0.0.2' },
  { name: 'NSD', start: startNsd, address: '127.0.0.3' },
  { name: 'Knot', start: startKnot, address: '127.0.0.4' },
];
const rounds = Number(process.env['ROUNDS'] ?? 30);

const tools = ['named', 'nsd', 'knotd', 'dig', 'kdig', 'nsupdate', 'named-checkzone'];

describe('a primary', { skip: missingPeer(...tools), timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'transfer-primary-'));
  const zones = new ZoneRegistry();
  const keeper = new MemoryKeeper(zones);
  const record = new LogRecord();
  const parts: Running[] = [];
  const peers: PeerServer[] = [];
  const current = (name: string): Zone => zones.all.get(name)?.zone as Zone;

  before(async () => {
    isolateWith(secondaries.map(({ address }) => address));
    // Large enough that differences are shorter than the zone.
    const others = Array.from({ length: 200 }, (_, i) => `other-${i} A 10.3.0.${i}`).join('\n');
    zones.publish(
      testZone(origin, 100, `${others}\nwww A 192.0.2.7\n*.apps CNAME www\ntext TXT "a \\"b\\""`),
    );
    const names = Array.from(
      { length: 4000 },
      (_, i) => `host-${i} A 10.2.${i >> 8}.${i & 255}\nhost-${i} TXT "${'x'.repeat(100)}"`,
    );
    zones.publish(testZone(largeOrigin, 7, names.join('\n')));
    const config = {
      tsigKeys: [key, otherKey],
      transfers: {
        allow: [
          { network: undefined, key: key.name, zones: undefined },
          { network: '127.0.0.9/32', key: undefined, zones: [largeOrigin] },
        ],
        notify: secondaries.map(({ address }) => ({ address, port: 53, key: key.name })),
      },
      updates: {
        allow: [
          { network: undefined, key: key.name, zones: [origin] },
          { network: '127.0.0.9/32', key: undefined, zones: undefined },
        ],
      },
      secondaries: new Map(),
    };
    const options = { zones, keeper, config: () => config, log: record.log, clock: systemClock };
    parts.push(
      await startRequestServer(createRequestHandler({ ...options, notified: () => {} }), {
        address: own,
        port: 53,
      }),
    );
    await Promise.all(
      secondaries.map(async ({ start, address }) => {
        mkdirSync(join(folder, address));
        const held = [origin, largeOrigin].map((one) => ({ origin: one, primaries: [own] }));
        const peer = await start({ folder: join(folder, address), address, key, zones: held });
        peers.push(peer);
        parts.push(peer);
      }),
    );
    parts.push(startNotifier(options));
  });

  after(async () => {
    if (process.env['LEVEL'] !== undefined) for (const peer of peers) console.log(peer.output());
    for (const part of parts.reverse()) await part.stop();
    rmSync(folder, { recursive: true });
  });

  const allHave = async (name: string, serial: number): Promise<void> => {
    for (const { address } of secondaries)
      await until(
        async () => (await serialAt(address, name)) === serial,
        () => `${address} lacks ${serial} of ${name}`,
      );
  };
  const dig = async (...args: string[]): Promise<string> =>
    (await runTool('dig', [`@${own}`, '+tries=1', ...args])).text;
  /** What dig says at the end of a transfer: the records before it are too many to print. */
  const summary = (text: string): string => text.slice(-500);
  const linesOf = (text: string): string[] =>
    text.split('\n').filter((line) => line !== '' && !line.startsWith(';'));

  it('is followed by each secondary through changes, by differences', async () => {
    await allHave(origin, current(origin).serial);
    const seen = new Map<string, number[]>(secondaries.map(({ address }) => [address, []]));
    const watch = new AbortController();
    const watching = secondaries.map(async ({ address }) => {
      const serials = seen.get(address) as number[];
      while (!watch.signal.aborted) {
        const serial = await serialAt(address, origin);
        if (serial !== undefined && serial !== serials.at(-1)) serials.push(serial);
        await sleep(10);
      }
    });
    try {
      for (let i = 0; i < rounds; i++) {
        const address = (): Buffer => addressData(`10.0.${i >> 8}.${i & 255}`);
        const set = { name: `h${i % 7}.${origin}`, type: 1, ttlSeconds: 60 + (i % 3), data: [address()] };
        await keeper.apply(origin, [{ kind: 'replace', rrset: set }], 'test');
        if (i % 3 === 0) await sleep(20);
        if (i % 10 === 9)
          await keeper.apply(origin, [{ kind: 'delete', name: set.name, type: undefined }], 'test');
      }
      await allHave(origin, current(origin).serial);
    } finally {
      watch.abort();
      await Promise.all(watching);
    }
    for (const [address, serials] of seen)
      for (const [i, one] of serials.entries())
        if (i > 0)
          assert.ok(
            isSerialHigher(one, serials[i - 1] as number),
            `${address} went back: ${serials.join(' ')}`,
          );
    for (const { address } of secondaries)
      assert.ok(
        record.has(new RegExp(`a zone was transferred.*"${origin}".*"to":"${address}","kind":"steps"`)),
        `no IXFR to ${address}`,
      );
    const text = linesOf(await dig(origin, 'AXFR', '-y', argumentOf(key))).filter(
      (line) => !line.includes('TSIG'),
    );
    for (const { address } of secondaries) {
      const held = (await runTool('dig', [`@${address}`, origin, 'AXFR', '-y', argumentOf(key)])).text;
      assert.deepEqual(
        linesOf(held)
          .filter((line) => !line.includes('TSIG'))
          .sort(),
        text.sort(),
        address,
      );
    }
  });

  it('sends a large zone in many messages, which named-checkzone accepts and each secondary has whole', async () => {
    await allHave(largeOrigin, 7);
    const dump = await dig(largeOrigin, 'AXFR', '+onesoa', '-y', argumentOf(key));
    assert.match(summary(dump), /XFR size: 8004 records \(messages [2-9]\d/);
    const file = join(folder, 'large.zone');
    writeFileSync(file, dump.replace(/^.*TSIG.*$/gm, ''));
    const { text, code } = await runTool('named-checkzone', [largeOrigin, file]);
    assert.equal(code, 0, text);
    const kdig = (await runTool('kdig', [`@${own}`, largeOrigin, 'AXFR', '-y', argumentOf(key)])).text;
    assert.match(summary(kdig), /8004 records/);
    assert.doesNotMatch(summary(kdig), /;; (WARNING|ERROR)/);
    writeFileSync(file, printZone(current(largeOrigin)));
    assert.equal((await runTool('named-checkzone', [largeOrigin, file])).code, 0);
  });

  it('transfers to nobody who is not named, and never over UDP', async () => {
    assert.match(await dig(origin, 'AXFR'), /Transfer failed/);
    assert.match(await dig(origin, 'AXFR', '-y', argumentOf(otherKey)), /Transfer failed/);
    const wrong = { ...key, secret: Buffer.from('wrong') };
    assert.match(await dig(origin, 'SOA', '-y', argumentOf(wrong)), /NOTAUTH[^]*BADSIG/);
    assert.match(await dig(origin, 'SOA', '-y', argumentOf({ ...key, name: 'nobody.example' })), /BADKEY/);
    assert.match(summary(await dig(largeOrigin, 'AXFR', '-b', '127.0.0.9')), /8004 records/);
    assert.match(await dig(origin, 'AXFR', '-b', '127.0.0.9'), /Transfer failed/);
    assert.match(await dig('elsewhere.example', 'AXFR', '-y', argumentOf(key)), /Transfer failed/);
    assert.match((await runTool('kdig', [`@${own}`, origin, 'IXFR=1', '+notcp'])).text, /REFUSED/);
    const kdig = await runTool('kdig', [`@${own}`, origin, 'AXFR', '+notcp', '-y', argumentOf(key)]);
    assert.match(kdig.text, /FORMERR/);
  });

  it('answers IXFR with one SOA, with the steps, or with the zone, over UDP too where it fits', async () => {
    const { serial } = current(origin);
    const before = (serial - 2) >>> 0;
    const ixfr = async (from: number, ...args: string[]): Promise<string[]> =>
      linesOf(await dig(origin, `IXFR=${from}`, '-y', argumentOf(key), ...args)).filter(
        (line) => !line.includes('TSIG'),
      );
    assert.equal((await ixfr(serial)).length, 1);
    const steps = await ixfr(before);
    assert.equal(steps.filter((line) => line.includes('SOA')).length, 6);
    assert.deepEqual(await ixfr(before, '+notcp'), steps);
    assert.equal((await ixfr(1000)).length, 1);
    const old = await ixfr((serial - 5000) >>> 0);
    assert.equal(old.filter((line) => line.includes('SOA')).length, 2);
    assert.equal(
      (await runTool('dig', [`@${own}`, largeOrigin, 'IXFR=6', '+notcp', '-y', argumentOf(key)])).text.match(
        /IN\tSOA/g,
      )?.length,
      1,
    );
  });

  it('answers a signed question like any other, signed', async () => {
    const text = await dig(`x.apps.${origin}`, 'A', '+norecurse', '-y', argumentOf(otherKey));
    assert.match(text, /status: NOERROR/);
    assert.match(text, /x\.apps\.zone\.example\.\s+60\s+IN\s+CNAME\s+www\.zone\.example\.[^]*192\.0\.2\.7/);
    assert.doesNotMatch(text, /Couldn't verify|WARNING/);
    assert.match(await dig(`nothing.${origin}`, 'A', '-y', argumentOf(key)), /NXDOMAIN[^]*SOA/);
  });

  it('is updated by nsupdate, with prerequisites, by those who may', async () => {
    const update = async (
      lines: string,
      signer: TsigKey | 'unsigned' = key,
      ...args: string[]
    ): Promise<string> => {
      const script = `server ${own}\nzone ${origin}\n${lines}\nsend\n`;
      return (
        await runTool(
          'nsupdate',
          [...(signer !== 'unsigned' ? ['-y', argumentOf(signer)] : []), ...args],
          script,
        )
      ).text;
    };
    assert.equal(
      await update(`update add new.${origin} 300 A 192.0.2.50\nupdate add new.${origin} 300 A 192.0.2.51`),
      '',
    );
    assert.equal(current(origin).node(`new.${origin}`)?.rrset(1)?.data.length, 2);
    assert.equal(
      await update(`prereq yxrrset new.${origin} A\nupdate delete new.${origin} A 192.0.2.50`, key, '-v'),
      '',
    );
    assert.equal(current(origin).node(`new.${origin}`)?.rrset(1)?.data.length, 1);
    assert.match(
      await update(`prereq nxdomain new.${origin}\nupdate add y.${origin} 1 A 192.0.2.1`),
      /YXDOMAIN/,
    );
    assert.match(
      await update(`prereq yxdomain nothing.${origin}\nupdate add y.${origin} 1 A 192.0.2.1`),
      /NXDOMAIN/,
    );
    assert.match(
      await update(`prereq nxrrset new.${origin} A\nupdate add y.${origin} 1 A 192.0.2.1`),
      /YXRRSET/,
    );
    assert.match(
      await update(`prereq yxrrset new.${origin} A 192.0.2.99\nupdate add y.${origin} 1 A 192.0.2.1`),
      /NXRRSET/,
    );
    assert.equal(await update(`prereq yxrrset new.${origin} A 192.0.2.51\nupdate delete new.${origin}`), '');
    assert.equal(current(origin).node(`new.${origin}`), undefined);
    assert.match(await update(`update add y.${origin} 1 A 192.0.2.1`, 'unsigned'), /REFUSED/);
    assert.match(await update(`update add y.${origin} 1 A 192.0.2.1`, otherKey), /REFUSED/);
    assert.equal(await update(`local 127.0.0.9\nupdate add _acme.${origin} 1 TXT token`, 'unsigned'), '');
    assert.equal(current(origin).node(`y.${origin}`), undefined);
    assert.equal(await update(`update add u.${origin} 60 TYPE65280 \\# 2 abcd`), '');
    assert.equal(current(origin).node(`u.${origin}`)?.rrset(65280)?.ttlSeconds, 60);
    assert.match(
      (
        await runTool(
          'nsupdate',
          ['-y', argumentOf(key)],
          `server ${own}\nzone ${largeOrigin}\nupdate add y.${largeOrigin} 1 A 192.0.2.1\nsend\n`,
        )
      ).text,
      /REFUSED/,
    );
    await allHave(origin, current(origin).serial);
  });
});
