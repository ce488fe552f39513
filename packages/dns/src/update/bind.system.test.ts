// BIND as the judge of updates: the same random messages to both, the same codes and the same zone after each. Name
// servers are outside the zone: BIND has a rule of its own, that those within have addresses.
// SEED, ITERATIONS.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { random } from '@cloudless/kube/testing/random';
import { askTcp } from '../forward/exchange.ts';
import { signedRequest } from '../transfer/ask.ts';
import { fetchZone } from '../transfer/fetch-zone.ts';
import type { TsigKey } from '../transfer/keys.ts';
import { isolateWith } from '../transfer/testing/loopback.ts';
import { type PeerServer, startBind } from '../transfer/testing/name-servers.ts';
import { MemoryKeeper, zoneFromText } from '../transfer/testing/test-zones.ts';
import { emptyMessage, type Message, type ResourceRecord } from '../wire/message.ts';
import { addressData, mxData, soaData, txtData } from '../wire/rdata.ts';
import { writeName } from '../wire/name.ts';
import { opcode, rcodeName, rrClass, rrType, typeName } from '../wire/types.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import { printZone } from '../zone/text/print.ts';
import type { Zone } from '../zone/zone.ts';
import { makeUpdate } from './update.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 150);
const key: TsigKey = {
  name: 'u.example',
  algorithm: 'hmac-sha256',
  secret: Buffer.from('for updates in a test'),
};
const origin = 'zone.example';
const text = `$TTL 60
@ SOA ns1 hostmaster 1 3600 600 604800 5
@ NS ns1.elsewhere.example.
@ NS ns2.elsewhere.example.
@ TXT "top"
ns1 A 192.0.2.1
ns2 A 192.0.2.2
a A 192.0.2.3
alias CNAME a
x.empty TXT "below an empty non-terminal"
`;

const next = random(seed);
const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
const names = [origin, origin, 'a', 'B', 'alias', 'empty', 'x.empty', '*.w', 'ns1', 'new'].map((name) =>
  name === origin ? name : `${name}.${origin}`,
);
const types = [
  rrType.A,
  rrType.A,
  rrType.TXT,
  rrType.CNAME,
  rrType.MX,
  rrType.NS,
  rrType.AAAA,
  65_280,
  rrType.SOA,
];

/** Serials that are offered are far apart: the two servers count changes in ways of their own. */
let soaCount = 0;

function dataOf(type: number): Buffer {
  switch (type) {
    case rrType.A:
      return addressData(`192.0.2.${1 + Math.floor(next() * 4)}`);
    case rrType.AAAA:
      return addressData(`2001:db8::${Math.floor(next() * 3)}`);
    case rrType.TXT:
      return txtData(pick(['top', 'one', 'two']));
    case rrType.MX:
      return mxData(10, pick(['a.elsewhere.example', 'A.Elsewhere.Example', 'b.elsewhere.example']));
    case rrType.SOA:
      return soaData({
        primary: `ns1.${origin}`,
        mailbox: `hostmaster.${origin}`,
        serial: pick([0, 4_000_000_000, 100_000 * ++soaCount]),
        refreshSeconds: 3600,
        retrySeconds: 600,
        expireSeconds: 604_800,
        minimumSeconds: pick([5, 6]),
      });
    case 65_280:
      return Buffer.from(pick(['', 'a', 'bc']));
    default:
      return writeName(pick(['ns1', 'ns2', 'NS1', 'a'].map((label) => `${label}.elsewhere.example`)));
  }
}

/** Mostly as RFC 2136 has them, some with a class, TTL, type or data that they should not have. */
function prerequisite(): ResourceRecord {
  const kind = pick([rrClass.ANY, rrClass.NONE, rrClass.IN]);
  const type = next() < 0.3 ? rrType.ANY : pick(types);
  const isOdd = next() < 0.04;
  const record = { name: pick(names), type, ttlSeconds: isOdd && next() < 0.5 ? 5 : 0 };
  const hasData = (kind === rrClass.IN && type !== rrType.ANY) !== isOdd;
  return withClass(
    { ...record, data: hasData ? dataOf(type === rrType.ANY ? rrType.A : type) : Buffer.alloc(0) },
    kind,
  );
}

function update(): ResourceRecord {
  const type = pick(types);
  const name = next() < 0.02 ? 'outside.example' : pick(names);
  const isOdd = next() < 0.02;
  const ttlSeconds = isOdd ? 7 : 0;
  const kind = next();
  if (kind < 0.6) return { name, type, ttlSeconds: pick([30, 60, 60]), data: dataOf(type) };
  if (kind < 0.8) return withClass({ name, type, ttlSeconds, data: dataOf(type) }, rrClass.NONE);
  const all = next() < 0.3 ? rrType.ANY : type;
  return withClass({ name, type: all, ttlSeconds, data: Buffer.alloc(0) }, rrClass.ANY);
}

function withClass(record: ResourceRecord, kind: number): ResourceRecord {
  return kind === rrClass.IN ? record : { ...record, class: kind };
}

function randomMessage(): Message {
  return {
    ...emptyMessage,
    opcode: opcode.update,
    questions: [{ name: next() < 0.01 ? 'other.example' : origin, type: rrType.SOA, class: rrClass.IN }],
    answers: Array.from({ length: next() < 0.5 ? 0 : 1 + Math.floor(next() * 2) }, prerequisite),
    authorities: Array.from({ length: Math.floor(next() * 4) }, update),
  };
}

describe(
  'updates, judged by BIND',
  { skip: missingPeer('named'), timeout: 60_000 + iterations * 100 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'update-bind-'));
    const address = '127.0.0.2';
    let bind: PeerServer;
    before(async () => {
      isolateWith([address]);
      bind = await startBind({ folder, address, key, zones: [{ origin, text, takesUpdates: true }] });
    });
    after(async () => {
      await bind?.stop();
      rmSync(folder, { recursive: true });
    });

    it('are answered and made alike', async () => {
      console.log(`SEED=${seed}`);
      const zones = new ZoneRegistry();
      zones.publish(zoneFromText(origin, text));
      const keeper = new MemoryKeeper(zones);
      const remote = { address, port: 53, key: key.name };
      const limits = { maxRecords: 1000, maxBytes: 100_000, idleMs: 5000, totalMs: 5000 };
      const context = { keys: [key], clock: systemClock, signal: new AbortController().signal, limits };
      const allow = [{ network: undefined, key: key.name, zones: undefined }];
      const codes = new Map<string, number>();
      let others = 0;
      let version: Zone | undefined;
      for (let i = 0; i < iterations; i++) {
        const message = randomMessage();
        // What it cannot parse BIND refuses without a signature.
        const { bytes } = signedRequest(message, key, systemClock);
        const reply = await askTcp(bytes, { host: address, port: 53 }, context.signal);
        const theirs = rcodeName((reply[3] as number) & 0xf);
        const outcome = await makeUpdate(message, { address, key: key.name }, { zones, allow, keeper });
        const ours = rcodeName(outcome.rcode);
        const what = `SEED=${seed} message ${i}:\n${describeMessage(message)}\n${outcome.reason?.text ?? ''}`;
        // With more than one fault each names another: BIND looks at the update before the prerequisites.
        const differ = ours !== theirs && ours !== 'NOERROR' && theirs !== 'NOERROR';
        if (differ) others += 1;
        else assert.equal(ours, theirs, what);
        codes.set(ours, (codes.get(ours) ?? 0) + 1);
        if (ours !== 'NOERROR') continue;
        const result = await fetchZone(origin, undefined, remote, context);
        assert.ok(result.kind === 'zone');
        const before = version ? printed(version) : text;
        version = result.zone;
        assert.equal(
          printed(zones.all.get(origin)?.zone as Zone),
          printed(version),
          `${what}\nbefore:\n${before}`,
        );
      }
      assert.ok(others <= 2 + iterations / 10, `${others} refusals have another code than BIND's`);
      assert.ok((codes.get('NOERROR') ?? 0) > iterations / 10, JSON.stringify([...codes]));
      console.log(
        `${[...codes].map(([code, count]) => `${code} ${count}`).join(', ')}; ${others} with another code`,
      );
    });
  },
);

/** Without the serial, which BIND raises in its own way, and the case of names, of which each keeps another. */
function printed(zone: Zone): string {
  return printZone(zone.withSerial(1)).toLowerCase();
}

function describeMessage({ questions, answers, authorities }: Message): string {
  const line = (record: ResourceRecord): string =>
    `  ${record.name} ${record.ttlSeconds} class ${record.class ?? 1} ${typeName(record.type)} ${record.data.toString('hex')}`;
  return [
    `zone ${questions[0]?.name}`,
    'prerequisites',
    ...answers.map(line),
    'updates',
    ...authorities.map(line),
  ].join('\n');
}
