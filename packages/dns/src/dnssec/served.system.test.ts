/** The whole authoritative DNS with a signed zone: what its serving threads and its transfers give is valid. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { type ExternalDns, startExternalDns } from '../external/start.ts';
import { printData, readNsec } from '../wire/rdata.ts';
import { rcode, rrType } from '../wire/types.ts';
import { printZone } from '../zone/text/print.ts';
import { readKeyFolder } from './key-store.ts';
import { anchorOf, assertSecure, policyOf, secureQuestions, zone } from './testing/judged-zone.ts';
import { exchange } from './testing/name-server.ts';
import { startSecondary } from './testing/secondaries.ts';
import { startUnbound } from './testing/validators.ts';

const log = logger('test').child({}, { level: process.env['TEST_LOG'] ?? 'silent' });

interface Served extends AsyncDisposable {
  readonly dns: ExternalDns;
  /** DS of the key that it made for itself. */
  readonly anchors: readonly { origin: string; lines: string[] }[];
}

/** Serves the zone from values, with a key that is made on the way. */
async function serveSigned(denial: 'compact' | 'nsec3'): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'dnssec-served-'));
  const text = printZone(zone).replaceAll('\n', '\n    ');
  const values = join(folder, 'values.yaml');
  writeFileSync(
    values,
    `zones:
  test: |
    ${text}
dnssec:
  test:
    denial: ${denial}
transfers:
  allow:
    - network: 127.0.0.0/8
rateLimit: false
`,
  );
  const dns = await startExternalDns({
    config: { from: 'values', path: values },
    addresses: ['127.0.0.1'],
    port: 0,
    keysFolder: join(folder, 'keys'),
    threads: 2,
    log,
    clock: systemClock,
  });
  await dns.ready;
  const keys = readKeyFolder(join(folder, 'keys')).keys.get('test') ?? [];
  assert.equal(keys.length, 1, JSON.stringify(dns.status()));
  return {
    dns,
    anchors: [{ origin: 'test', lines: anchorOf('test', policyOf(keys, denial)) }],
    [Symbol.asyncDispose]: async () => {
      await dns.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

for (const denial of ['compact', 'nsec3'] as const)
  test(
    `serving threads and a BIND secondary give what unbound validates, ${denial}`,
    { skip: missingPeer('unbound', 'named') },
    async () => {
      await using served = await serveSigned(denial);
      const { dns, anchors } = served;
      await using secondary = await startSecondary('named', 'test', dns.ports.dns);
      await using first = await startUnbound(dns.ports.dns, anchors);
      await using second = await startUnbound(secondary.port, anchors);
      for (const question of secureQuestions) {
        const [name, type] = question;
        if (name.endsWith('signed.test') && type !== 'DS') continue;
        await assertSecure(first, question, denial === 'compact');
        await assertSecure(second, question, false);
      }
    },
  );

test('who asks with CO gets NXDOMAIN with the compact proof, and who does not gets NOERROR', async () => {
  await using served = await serveSigned('compact');
  const ask = (name: string, type: number, isCompactOk: boolean): ReturnType<typeof exchange> =>
    exchange(served.dns.ports.dns, name, type, 5000, isCompactOk);
  // Twice: the second answer is a ready one.
  for (const round of [1, 2]) {
    const plain = await ask('none.test', rrType.A, false);
    assert.deepEqual([plain.rcode, plain.edns?.compactOk], [rcode.noError, false], `round ${round}`);
    const compact = await ask('none.test', rrType.A, true);
    assert.deepEqual([compact.rcode, compact.edns?.compactOk], [rcode.nxDomain, true], `round ${round}`);
    for (const { authorities } of [plain, compact]) {
      const nsec = authorities.find(({ type }) => type === rrType.NSEC);
      assert.ok(nsec);
      assert.equal(printData(rrType.NSEC, nsec.data), '\\000.none.test. RRSIG NSEC NXNAME');
    }
  }
  assert.equal((await ask('none.test', rrType.NXNAME, true)).rcode, rcode.formErr);
  const own = await ask('www.test', rrType.NSEC, false);
  assert.deepEqual(
    own.answers.map(({ type }) => type),
    [rrType.NSEC, rrType.RRSIG],
  );
  assert.deepEqual(readNsec((own.answers[0] as { data: Buffer }).data).types, [
    rrType.A,
    rrType.AAAA,
    rrType.RRSIG,
    rrType.NSEC,
  ]);
});
