import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { listen } from '../server/listener.ts';
import { emptyMessage, parseMessage, plainEdns, writeMessage } from '../wire/message.ts';
import { rrType } from '../wire/types.ts';
import { zoneOf } from '../zone/build.ts';
import { recordsOf } from '../zone/rrset.ts';
import { printZone } from '../zone/text/print.ts';
import { generateKey } from './key.ts';
import { signZone } from './sign-zone.ts';
import { anchorOf, assertSecure, policyOf, secureQuestions, zone } from './testing/judged-zone.ts';
import { serve, SignedZones } from './testing/served-zones.ts';
import { startSecondary } from './testing/secondaries.ts';
import { runPeer } from './testing/name-server.ts';
import { startUnbound } from './testing/validators.ts';

const nowMs = Date.now();
const keySets = {
  'a combined key': [generateKey({ origin: 'test', nowMs })],
  'two keys': [
    generateKey({ origin: 'test', role: 'ksk', nowMs }),
    generateKey({ origin: 'test', role: 'zsk', nowMs }),
  ],
};
const verifiers = ['ldns-verify-zone', 'dnssec-verify', 'named-checkzone'];

for (const denial of ['compact', 'nsec3'] as const)
  for (const [what, keys] of Object.entries(keySets))
    test(
      `${verifiers.join(', ')} accept a zone signed with ${what}, ${denial}`,
      { skip: missingPeer(...verifiers) },
      async () => {
        const signed = signZone(zone, policyOf(keys, denial), nowMs);
        const folder = mkdtempSync(join(tmpdir(), 'dnssec-zone-'));
        try {
          const file = join(folder, 'zone');
          writeFileSync(file, printZone(signed));
          const ldns = await runPeer('ldns-verify-zone', ['-V', '3', file]);
          assert.match(ldns, /Zone is verified and complete/, ldns);
          const bind = await runPeer(
            'dnssec-verify',
            what === 'two keys' ? ['-o', 'test', file] : ['-z', '-o', 'test', file],
          );
          assert.match(bind, /Zone fully signed/, bind);
          const check = await runPeer('named-checkzone', ['-i', 'none', 'test', file]);
          assert.match(check, /\nOK/, check);
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    );

/** Serves the whole zone in one message, as a transfer of a small zone is. */
function serveTransfer(signed: typeof zone): ReturnType<typeof listen> {
  return listen('127.0.0.1', 0, (bytes, { transport }) => {
    const query = parseMessage(bytes);
    const soa = recordsOf(signed.soa);
    const all = [...[...signed.rrsets()].flatMap((set) => recordsOf(set)), ...soa];
    const isWhole = transport === 'tcp' && query.questions[0]?.type === rrType.AXFR;
    return writeMessage({
      ...emptyMessage,
      id: query.id,
      isResponse: true,
      authoritative: true,
      questions: query.questions,
      answers: isWhole ? all : soa,
      edns: query.edns && plainEdns,
    });
  });
}

for (const kind of ['named', 'nsd'] as const)
  for (const denial of ['compact', 'nsec3'] as const)
    test(
      `${kind} as a secondary serves the signed zone so that unbound validates it, ${denial}`,
      { skip: missingPeer(kind, 'unbound') },
      async () => {
        const policy = policyOf(keySets['a combined key'], denial);
        await using primary = await serveTransfer(signZone(zone, policy, nowMs));
        await using secondary = await startSecondary(kind, 'test', primary.port);
        await using resolver = await startUnbound(secondary.port, [
          { origin: 'test', lines: anchorOf('test', policy) },
        ]);
        for (const question of secureQuestions) {
          const [name, type] = question;
          if (name.endsWith('signed.test') && type !== 'DS') continue;
          await assertSecure(resolver, question, false);
        }
      },
    );

for (const denial of ['compact', 'nsec3'] as const)
  test(
    `a zone that came here signed is served so that unbound validates it, ${denial}`,
    { skip: missingPeer('unbound') },
    async () => {
      const policy = policyOf(keySets['two keys'], denial);
      const records = [...signZone(zone, policy, nowMs).rrsets()].flatMap((set) => recordsOf(set));
      const zones = new SignedZones(systemClock);
      zones.set(zoneOf('test', records), undefined);
      await using listener = await serve(zones);
      await using resolver = await startUnbound(listener.port, [
        { origin: 'test', lines: anchorOf('test', policy) },
      ]);
      for (const question of secureQuestions) {
        const [name, type] = question;
        if (name.endsWith('signed.test') && type !== 'DS') continue;
        await assertSecure(resolver, question, false);
      }
    },
  );
