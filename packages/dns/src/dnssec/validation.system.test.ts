import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { rrType } from '../wire/types.ts';
import { dsText } from './ds-text.ts';
import { generateKey } from './key.ts';
import {
  anchorOf,
  assertSecure,
  child,
  childKey,
  openChild,
  policyOf,
  secureQuestions,
  zone,
} from './testing/judged-zone.ts';
import { serve, SignedZones } from './testing/served-zones.ts';
import { runPeer } from './testing/name-server.ts';
import { startUnbound } from './testing/validators.ts';

const key = generateKey({ origin: 'test', nowMs: Date.now() });
/** delv takes a process for each question. */
const isLong = process.env['ITERATIONS'] !== undefined;

for (const denial of ['compact', 'nsec3'] as const) {
  const policy = policyOf([key], denial);
  const zones = new SignedZones(systemClock);
  zones.set(zone, policy);
  zones.set(child, policyOf([childKey], denial));
  zones.set(openChild, undefined);

  test(
    `unbound finds every answer secure, denials by ${denial}`,
    { skip: missingPeer('unbound') },
    async () => {
      await using listener = await serve(zones);
      await using resolver = await startUnbound(listener.port, [
        { origin: 'test', lines: anchorOf('test', policy) },
        { origin: 'unsigned.test', lines: [] },
        { origin: 'signed.test', lines: [] },
      ]);
      for (const question of secureQuestions) await assertSecure(resolver, question, denial === 'compact');
      const insecure = await resolver.ask('www.unsigned.test', rrType.A);
      assert.equal(insecure.authenticData, false);
      assert.equal(insecure.answers.length, 1);
    },
  );

  test(`delv finds every answer secure, denials by ${denial}`, { skip: missingPeer('delv') }, async () => {
    await using listener = await serve(zones);
    const folder = mkdtempSync(join(tmpdir(), 'dnssec-delv-'));
    try {
      const anchors = join(folder, 'anchors');
      const [, , , , ...fields] = (dsText('test', policy.keys).at(-1) as string).split(' ');
      const [flags, protocol, algorithm, ...text] = fields;
      writeFileSync(
        anchors,
        `trust-anchors { "test." static-key ${flags} ${protocol} ${algorithm} "${text.join('')}"; };\n`,
      );
      const asked = secureQuestions.filter(([name, type], i) => {
        const isOfChild = name.endsWith('signed.test') && type !== 'DS';
        return !isOfChild && (isLong || i % 2 === 0);
      });
      for (const [name, type] of asked) {
        const server = ['@127.0.0.1', `-p${listener.port}`, `-a${anchors}`, '+root=test'];
        const output = await runPeer('delv', [...server, `-q${name}`, `-t${type}`]);
        assert.match(output, /; (negative response, )?fully validated/, `${name} ${type}: ${output}`);
        assert.doesNotMatch(output, /unsigned answer/, `${name} ${type}: ${output}`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
