import { test } from 'node:test';
import assert from 'node:assert/strict';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { readRrsig } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { apexRRsets } from './apex.ts';
import { dsText } from './ds-text.ts';
import { generateKey, signingKeysAt, type StoredKey } from './key.ts';
import { signingPolicyAt } from './policy.ts';
import { beginRollover, retireReplaced } from './rollover.ts';
import { serve, SignedZones, zoneOfLines } from './testing/served-zones.ts';
import { startUnbound } from './testing/validators.ts';

const startMs = Date.UTC(2027, 2, 1);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const zone = zoneOfLines('test', ['www A 192.0.2.1', '*.wild A 192.0.2.2']);
const dsOfKeys = (keys: readonly StoredKey[], tags: readonly number[]): string[] =>
  dsText(
    'test',
    signingKeysAt(keys, startMs).keys.map((key) => ({ ...key, isInParent: tags.includes(key.keyTag) })),
  ).filter((line) => line.includes(' IN DS '));

/** A server and a validator that both live at `nowMs`. */
async function assertValid(
  keys: readonly StoredKey[],
  anchors: string[],
  nowMs: number,
  what: string,
): Promise<void> {
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const zones = new SignedZones(clock);
  const { policy } = signingPolicyAt({ keys, denial: 'compact', nowMs });
  zones.set(zone, policy);
  await using listener = await serve(zones);
  await using resolver = await startUnbound(listener.port, [{ origin: 'test', lines: anchors }], nowMs);
  for (const [name, type] of [
    ['www.test', rrType.A],
    ['x.wild.test', rrType.A],
    ['none.test', rrType.A],
    ['test', rrType.DNSKEY],
  ] as const) {
    const { authenticData } = await resolver.ask(name, type);
    assert.ok(authenticData, `${what}: ${name} is not secure`);
  }
}

test(
  'a combined key rolls: at every step the zone is valid by the DS that the parent has',
  { skip: missingPeer('unbound') },
  async () => {
    const old = generateKey({ origin: 'test', nowMs: startMs });
    let keys: readonly StoredKey[] = beginRollover([old], 'csk', startMs + dayMs);
    const fresh = keys[1] as StoredKey;
    assert.throws(() => beginRollover(keys, 'csk', startMs + dayMs), /being replaced already/);
    const [oldDs, newDs] = [
      dsOfKeys([old], [old.keyTag]),
      dsText('test', [{ ...fresh, isActive: true, isInParent: true }]).filter((line) =>
        line.includes(' IN DS '),
      ),
    ];
    const cdsTags = (nowMs: number): number[] => {
      const { policy } = signingPolicyAt({ keys, denial: 'compact', nowMs });
      assert.ok(policy);
      return (apexRRsets(zone, policy).get(rrType.CDS)?.data ?? []).map((data) => data.readUInt16BE(0));
    };
    await assertValid(keys, oldDs, startMs, 'before');
    await assertValid(keys, oldDs, startMs + dayMs, 'just begun');
    assert.deepEqual(cdsTags(startMs + dayMs), [old.keyTag]);
    assert.throws(() => retireReplaced(keys, startMs + dayMs, 3600), /not replaced before/);
    const known = startMs + dayMs + hourMs;
    assert.deepEqual(cdsTags(known), [fresh.keyTag]);
    await assertValid(keys, oldDs, known, 'the parent still has the old DS');
    await assertValid(keys, newDs, known, 'the parent has the new DS');
    keys = retireReplaced(keys, startMs + 2 * dayMs, 3600);
    await assertValid(keys, newDs, startMs + 2 * dayMs + hourMs, 'retired');
    assert.deepEqual(
      signingKeysAt(keys, startMs + 2 * dayMs + hourMs).keys.map(({ keyTag }) => keyTag),
      [fresh.keyTag],
    );
    assert.equal(beginRollover(keys, 'csk', startMs + 30 * dayMs).length, 3);
  },
);

test(
  'a zone-signing key rolls by itself, the key-signing key above it unmoved',
  { skip: missingPeer('unbound') },
  async () => {
    const pair = [
      generateKey({ origin: 'test', role: 'ksk', nowMs: startMs }),
      generateKey({ origin: 'test', role: 'zsk', nowMs: startMs }),
    ];
    const [ksk] = pair as [StoredKey, StoredKey];
    const keys = beginRollover(pair, 'zsk', startMs + dayMs);
    const times = [0, dayMs, dayMs + hourMs, 3 * dayMs + hourMs].map((after) => startMs + after);
    const signers = times.map((nowMs) =>
      signingKeysAt(keys, nowMs).keys.filter(({ flags }) => flags === 256),
    );
    assert.deepEqual(
      signers.map((at) => at.map(({ isActive }) => isActive).toSorted((a, b) => Number(a) - Number(b))),
      [[true], [false, true], [false, true], [true]],
    );
    assert.notEqual(signers[0]?.[0]?.keyTag, signers[3]?.[0]?.keyTag);
    for (const nowMs of times)
      await assertValid(keys, dsOfKeys(pair, [ksk.keyTag]), nowMs, new Date(nowMs).toISOString());
  },
);

test('the parent is asked to take the DS away by the delete form', () => {
  const keys = [generateKey({ origin: 'test', nowMs: startMs })];
  const { policy } = signingPolicyAt({ keys, denial: 'compact', cds: 'delete', nowMs: startMs });
  assert.ok(policy);
  const apex = apexRRsets(zone, policy);
  assert.equal(apex.get(rrType.CDS)?.data[0]?.toString('hex'), '0000000000');
  assert.equal(apex.get(rrType.CDNSKEY)?.data[0]?.toString('hex'), '0000030000');
  assert.equal(apexRRsets(zone, { ...policy, cds: 'none' }).has(rrType.CDS), false);
});

test(
  'a clock that is set far forward, and back, leaves every answer valid at once',
  { skip: missingPeer('unbound') },
  async () => {
    let nowMs = startMs;
    const clock: Clock = { ...systemClock, nowMs: () => nowMs };
    const keys = [generateKey({ origin: 'test', nowMs: startMs })];
    const zones = new SignedZones(clock);
    zones.set(zone, signingPolicyAt({ keys, denial: 'nsec3', nowMs }).policy);
    await using listener = await serve(zones);
    const expirations = new Set<number>();
    for (const step of [0, 400 * dayMs, 5000 * dayMs, -100 * dayMs]) {
      nowMs = startMs + step;
      const anchors = [{ origin: 'test', lines: dsOfKeys(keys, [keys[0]?.keyTag as number]) }];
      await using resolver = await startUnbound(listener.port, anchors, nowMs);
      for (const name of ['www.test', 'none.test']) {
        const { authenticData, answers } = await resolver.ask(name, rrType.A);
        assert.ok(authenticData, `${name} ${step / dayMs} days on`);
        for (const { type, data } of answers)
          if (type === rrType.RRSIG) expirations.add(readRrsig(data).expiration);
      }
    }
    assert.equal(expirations.size, 4);
  },
);
