import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Clock } from '@cloudless/kube/clock';
import { answerQuestion } from '../authoritative/answer.ts';
import { readRrsig } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import type { Zone } from '../zone/zone.ts';
import { apexRRsets } from './apex.ts';
import { generateKey, type StoredKey } from './key.ts';
import { signingPolicyAt } from './policy.ts';
import { verifyRRset } from './rrsig.ts';
import { GenerationCache } from './signature-cache.ts';
import { SignatureMemory } from './signer.ts';
import { resignAfterMs, signingEpoch, ZoneSigner, signZone } from './sign-zone.ts';
import { SigningBudget, SigningBusyError } from './signing-budget.ts';
import { signingKeys } from './signing-keys.ts';
import { SignedZones, zoneOfLines } from './testing/served-zones.ts';

const nowMs = Date.UTC(2027, 0, 1);
const steadyClock = (): Clock & { atMs: number; steadyMs: number } => ({
  atMs: nowMs,
  steadyMs: 0,
  nowMs() {
    return this.atMs;
  },
  monotonicMs() {
    return this.steadyMs;
  },
  setTimeout: () => ({ cancel() {} }),
});
const keys = [generateKey({ origin: 'test', nowMs })];
const policyOf = (
  stored: readonly StoredKey[],
): NonNullable<ReturnType<typeof signingPolicyAt>['policy']> => {
  const { policy } = signingPolicyAt({ keys: stored, denial: 'compact', nowMs });
  assert.ok(policy);
  return policy;
};
const zoneOf = (lines: string[], serial = 1): Zone => zoneOfLines('test', lines, serial);

const signaturesOf = (zones: SignedZones, name: string, type: number): string[] =>
  answerQuestion(zones.table, { name, type, dnssecOk: true })
    .answers.filter((record) => record.type === rrType.RRSIG)
    .map(({ data }) => data.toString('hex'));

test('a signature counts on through versions that leave its set as it was, and not longer than its stretch', () => {
  const clock = steadyClock();
  const zones = new SignedZones(clock);
  zones.set(zoneOf(['www A 192.0.2.1', 'other A 192.0.2.2']), policyOf(keys));
  const [first] = signaturesOf(zones, 'www.test', rrType.A);
  const [other] = signaturesOf(zones, 'other.test', rrType.A);
  zones.set(zoneOf(['www A 192.0.2.1', 'other A 192.0.2.3'], 2), policyOf(keys));
  assert.deepEqual(signaturesOf(zones, 'www.test', rrType.A), [first]);
  assert.notDeepEqual(signaturesOf(zones, 'other.test', rrType.A), [other]);
  clock.atMs += 11 * 86_400_000;
  const [later = ''] = signaturesOf(zones, 'www.test', rrType.A);
  assert.notEqual(later, first);
  const { inception, expiration } = readRrsig(Buffer.from(later, 'hex'));
  assert.ok(inception * 1000 < clock.atMs && clock.atMs < expiration * 1000);
});

test('replicas give the same times, and names are not all signed anew at once', () => {
  const lines = Array.from({ length: 50 }, (_, i) => `n${i} A 192.0.2.1`);
  const times = [0, 90_000].map((behindMs) => {
    const clock = steadyClock();
    clock.atMs += behindMs;
    const zones = new SignedZones(clock);
    zones.set(zoneOf(lines), policyOf(keys));
    return lines.map((_, i) => {
      const [rrsig = ''] = signaturesOf(zones, `n${i}.test`, rrType.A);
      return readRrsig(Buffer.from(rrsig, 'hex')).expiration;
    });
  });
  assert.deepEqual(times[0], times[1]);
  assert.ok(new Set(times[0]).size > 45);
});

test('a key-signing key signs the keys and a zone-signing key the rest; two combined ones sign everything twice', () => {
  const ksk = generateKey({ origin: 'test', role: 'ksk', nowMs });
  const zsk = generateKey({ origin: 'test', role: 'zsk', nowMs });
  const zones = new SignedZones(steadyClock());
  const tagsOf = (name: string, type: number): number[] =>
    signaturesOf(zones, name, type)
      .map((rrsig) => readRrsig(Buffer.from(rrsig, 'hex')).keyTag)
      .sort((a, b) => a - b);
  zones.set(zoneOf(['www A 192.0.2.1']), policyOf([ksk, zsk]));
  assert.deepEqual(tagsOf('test', rrType.DNSKEY), [ksk.keyTag]);
  assert.deepEqual(tagsOf('test', rrType.CDS), [ksk.keyTag]);
  assert.deepEqual(tagsOf('test', rrType.SOA), [zsk.keyTag]);
  assert.deepEqual(tagsOf('www.test', rrType.A), [zsk.keyTag]);
  const pair = [keys[0] as StoredKey, generateKey({ origin: 'test', nowMs })];
  zones.set(zoneOf(['www A 192.0.2.1']), policyOf(pair));
  const both = pair.map(({ keyTag }) => keyTag).sort((a, b) => a - b);
  assert.deepEqual(tagsOf('www.test', rrType.A), both);
  assert.deepEqual(tagsOf('test', rrType.DNSKEY), both);
});

test("another signer's DNSKEY in the zone's text is served beside ours, and its CDS instead of ours", () => {
  const foreign = generateKey({ origin: 'test', nowMs });
  const text = foreign.dnskey.subarray(4).toString('base64');
  const zone = zoneOf([`@ DNSKEY 257 3 13 ${text}`, '@ CDS 1 13 2 ' + 'ab'.repeat(32)]);
  const apex = apexRRsets(zone, policyOf(keys));
  assert.equal(apex.get(rrType.DNSKEY)?.data.length, 2);
  assert.equal(apex.get(rrType.CDS)?.data[0]?.readUInt16BE(0), 1);
  assert.equal(apex.get(rrType.CDNSKEY), undefined);
});

test('made-up names are refused when half the time went into signing, real ones never', () => {
  const clock = steadyClock();
  const budget = new SigningBudget(clock);
  const sign = (): void => void (clock.steadyMs += 10);
  let made = 0;
  assert.throws(() => {
    for (; made < 1000; made++) budget.spend(true, sign);
  }, SigningBusyError);
  assert.ok(made >= 25 && made <= 60, `${made} at once`);
  for (let i = 0; i < 100; i++) budget.spend(false, sign);
  assert.throws(() => budget.spend(true, sign), SigningBusyError);
  // It comes back with time, and over a long time it is half of it.
  const beginMs = clock.steadyMs;
  let served = 0;
  while (clock.steadyMs < beginMs + 20_000)
    try {
      budget.spend(true, sign);
      served += 10;
    } catch (error) {
      assert.ok(error instanceof SigningBusyError);
      clock.steadyMs += 1;
    }
  assert.ok(served > 8500 && served < 11_000, `${served} ms of 20,000`);
});

test('a flood of made-up names pushes out no signature of a real one, and memory stays bounded', () => {
  const cache = new GenerationCache<number>(100);
  for (let i = 0; i < 10_000; i++) {
    cache.set(`k${i}`, i);
    cache.get('k0');
  }
  assert.ok(cache.size <= 100);
  assert.equal(cache.get('k0'), 0);

  const memory = new SignatureMemory(steadyClock());
  const signing = signingKeys('test', policyOf(keys));
  const real = { name: 'www.test', type: rrType.A, ttlSeconds: 1, data: [Buffer.of(1, 2, 3, 4)] };
  const records = memory.sign(real, signing, false);
  for (let i = 0; i < 9000; i++) memory.sign({ ...real, name: `x${i}.test` }, signing, true);
  assert.equal(memory.sign(real, signing, false), records);
});

test('a zone signed anew keeps the signatures of what did not change, and every one verifies', () => {
  const policy = policyOf(keys);
  const signer = new ZoneSigner();
  const before = signer.sign(zoneOf(['www A 192.0.2.1', 'b A 192.0.2.2', 'c.d TXT "x"']), policy, nowMs);
  const after = signer.sign(zoneOf(['www A 192.0.2.1', 'b A 192.0.2.9', 'c.d TXT "x"'], 2), policy, nowMs);
  const rrsigs = (zone: Zone): Map<string, string> =>
    new Map(
      [...zone.rrsets()]
        .filter(({ type }) => type === rrType.RRSIG)
        .map(({ name, data: [data = Buffer.alloc(2)] }) => [
          `${name} ${data.readUInt16BE(0)}`,
          data.toString('hex'),
        ]),
    );
  const [old, fresh] = [rrsigs(before), rrsigs(after)];
  const changed = [...fresh].filter(([key, rrsig]) => old.get(key) !== rrsig).map(([key]) => key);
  assert.deepEqual(changed.sort(), [`b.test ${rrType.A}`, `test ${rrType.SOA}`]);
  for (const { name, type, data } of after.rrsets()) {
    if (type !== rrType.RRSIG) continue;
    const [rrsig] = data as [Buffer];
    const covered = after.node(name)?.rrset(rrsig.readUInt16BE(0));
    assert.ok(
      covered && verifyRRset(covered, rrsig, keys[0]?.dnskey as Buffer),
      `${name} ${rrsig.readUInt16BE(0)}`,
    );
  }
  const raised = after.withSerial(7);
  assert.equal(raised.serial, 7);
  const soa = raised
    .node('test')
    ?.rrset(rrType.RRSIG)
    ?.data.find((data) => data.readUInt16BE(0) === rrType.SOA);
  assert.ok(soa && verifyRRset(raised.soa, soa, keys[0]?.dnskey as Buffer));
  assert.equal(raised.recordCount, after.recordCount);
});

test('a signed zone is made anew in time, on all replicas at the same moment', () => {
  const policy = policyOf(keys);
  const zone = zoneOf(['www A 192.0.2.1']);
  const afterMs = resignAfterMs('test', policy, nowMs);
  assert.ok(afterMs > 0 && afterMs <= (policy.validitySeconds * 1000 * 3) / 4);
  assert.equal(signingEpoch('test', policy, nowMs + afterMs - 1), signingEpoch('test', policy, nowMs));
  assert.ok(signingEpoch('test', policy, nowMs + afterMs) > signingEpoch('test', policy, nowMs));
  const expirations = new Set(
    [...signZone(zone, policy, nowMs).rrsets()]
      .filter(({ type }) => type === rrType.RRSIG)
      .flatMap(({ data }) => data.map((rrsig) => readRrsig(rrsig).expiration)),
  );
  assert.equal(expirations.size, 1);
  const [expiration = 0] = expirations;
  assert.ok(expiration * 1000 - (nowMs + afterMs) >= (policy.validitySeconds * 1000) / 4 - 1000);
  const hashes = [nowMs, nowMs + 1, nowMs + afterMs].map((at) => signZone(zone, policy, at).contentHash);
  assert.equal(hashes[0], hashes[1]);
  assert.notEqual(hashes[0], hashes[2]);
});
