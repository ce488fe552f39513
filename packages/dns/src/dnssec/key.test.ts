import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import { dsOf, generateKey, keyState, keyTagOf, signingKeysAt, type StoredKey } from './key.ts';
import {
  hasUnreadableKey,
  keysOfSecret,
  readKeyFolder,
  secretData,
  secretEntryName,
  writeKeyFiles,
} from './key-store.ts';
import { parseKeyText, printKeyText } from './key-text.ts';
import { signingPolicyAt } from './policy.ts';

/** RFC 6605 section 6.1. */
const published = `example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==
Private-key-format: v1.2
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=
`;
const nowMs = Date.UTC(2026, 0, 31, 12);
const dayMs = 86_400_000;

const folder = (): string => mkdtempSync(join(tmpdir(), 'dnssec-keys-'));

test('the key of RFC 6605 has the tag and the digest that the RFC prints', () => {
  const key = parseKeyText(published, 'RFC 6605');
  assert.equal(key.origin, 'example.net');
  assert.equal(key.keyTag, 55648);
  assert.equal(
    dsOf('example.net', key.dnskey).toString('hex'),
    'd9600d02b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17',
  );
  assert.equal(dsOf('example.net', key.dnskey, 4).length, 4 + 48);
});

test('the key of RFC 4034 section 5.4 has the tag 60485', () => {
  const publicKey =
    'AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvx' +
    'egXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==';
  assert.equal(keyTagOf(Buffer.concat([Buffer.of(1, 0, 3, 5), Buffer.from(publicKey, 'base64')])), 60485);
});

test('a key survives the Secret and the files, its private part readable by its owner alone', () => {
  const keys = [
    generateKey({ origin: 'Example.org', nowMs }),
    generateKey({ origin: '0/25.2.0.192.in-addr.arpa', role: 'ksk', nowMs }),
    generateKey({ origin: '0/25.2.0.192.in-addr.arpa', role: 'zsk', nowMs }),
  ];
  const data = secretData(keys);
  for (const name of Object.keys(data)) assert.match(name, /^[-._a-zA-Z0-9]{1,253}$/);
  assert.ok(`example.org.${String(keys[0]?.keyTag).padStart(5, '0')}` in data);
  const read = keysOfSecret(data);
  assert.deepEqual(read.problems, []);
  assert.deepEqual(read.keys.get('example.org'), [keys[0]]);
  assert.equal(read.keys.get('0/25.2.0.192.in-addr.arpa')?.length, 2);

  const path = folder();
  try {
    for (const key of keys) writeKeyFiles(path, key);
    for (const name of readdirSync(path))
      assert.equal(statSync(join(path, name)).mode & 0o777, name.endsWith('.private') ? 0o600 : 0o644, name);
    const files = readKeyFolder(path);
    assert.deepEqual(files.problems, []);
    assert.deepEqual(files.keys.get('example.org'), [keys[0]]);
    assert.equal(files.keys.get('0/25.2.0.192.in-addr.arpa')?.length, 2);
  } finally {
    rmSync(path, { recursive: true });
  }
});

test('a bad entry is told with its name and a remedy, without the secret, and the others count', () => {
  const good = generateKey({ origin: 'good.example', nowMs });
  const other = printKeyText(generateKey({ origin: 'good.example', nowMs }));
  const mine = printKeyText(good);
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const stored = keysOfSecret({
    ...secretData([good]),
    'mixed.1': encode(other.public + mine.private),
    'private-only.2': encode(mine.private),
    'public-only.3': encode(mine.public),
    'rsa.4': encode(mine.public.replace(' 3 13 ', ' 3 8 ') + mine.private),
    'short.5': encode(mine.public + mine.private.replace(/PrivateKey: .*/, 'PrivateKey: AAAA')),
    'noise.6': Buffer.from([255, 254, 0, 1]).toString('base64'),
  });
  const { keys, problems } = stored;
  assert.deepEqual([...keys.keys()], ['good.example']);
  assert.equal(problems.length, 6);
  const secret = /PrivateKey: (\S+)/.exec(mine.private)?.[1] as string;
  for (const name of ['mixed.1', 'private-only.2', 'public-only.3', 'rsa.4', 'short.5', 'noise.6'])
    assert.ok(
      problems.some((problem) => problem.includes(name)),
      `${name}: ${problems.join('\n')}`,
    );
  assert.ok(!problems.join().includes(secret));
  assert.ok(hasUnreadableKey(stored, 'rsa') && hasUnreadableKey(stored, 'private-only'));
  assert.ok(!hasUnreadableKey(stored, 'good.example') && !hasUnreadableKey(stored, 'example'));
});

test('a key waits, is published, signs, retires and goes, by its times alone', () => {
  const times = {
    publish: nowMs,
    activate: nowMs + dayMs,
    inactive: nowMs + 30 * dayMs,
    delete: nowMs + 60 * dayMs,
    syncPublish: nowMs + dayMs,
    syncDelete: nowMs + 30 * dayMs,
  };
  const states = [-1, 0, dayMs, 30 * dayMs, 60 * dayMs].map((after) => keyState(times, nowMs + after));
  assert.deepEqual(states, ['waiting', 'published', 'active', 'retired', 'removed']);
  const key = generateKey({ origin: 'example', nowMs, times });
  const at = (after: number): unknown =>
    signingKeysAt([key], nowMs + after).keys.map(({ isActive, isInParent }) => [isActive, isInParent]);
  assert.deepEqual(at(-1), []);
  assert.deepEqual(at(0), [[false, false]]);
  assert.deepEqual(at(dayMs), [[true, true]]);
  assert.deepEqual(at(30 * dayMs), [[false, false]]);
  assert.deepEqual(at(60 * dayMs), []);
  assert.equal(signingKeysAt([key], nowMs).changesAtMs, nowMs + dayMs);
  assert.equal(signingKeysAt([key], nowMs + 60 * dayMs).changesAtMs, undefined);
});

test('a zone without a key-signing key that signs is not signed', () => {
  const zoneKey = generateKey({ origin: 'example', role: 'zsk', nowMs });
  assert.equal(signingPolicyAt({ keys: [zoneKey], denial: 'compact', nowMs }).policy, undefined);
  const both: StoredKey[] = [zoneKey, generateKey({ origin: 'example', nowMs })];
  assert.equal(signingPolicyAt({ keys: both, denial: 'compact', nowMs }).policy?.keys.length, 2);
});

test(
  "BIND's dnssec-keygen and ours exchange keys",
  {
    skip: missingPeer('dnssec-keygen', 'dnssec-dsfromkey', 'dnssec-settime'),
  },
  () => {
    const path = folder();
    const run = (name: string, ...args: string[]): string => {
      const peer = findPeer(name);
      assert.ok(peer);
      return execFileSync(peer.program, args, { cwd: path, env: peer.env, encoding: 'utf8', stdio: 'pipe' });
    };
    try {
      const base = run(
        'dnssec-keygen',
        '-K',
        path,
        '-a',
        'ECDSAP256SHA256',
        '-f',
        'KSK',
        'example.com',
      ).trim();
      const theirs = readKeyFolder(path).keys.get('example.com')?.[0];
      assert.ok(theirs);
      assert.equal(base, `Kexample.com.+013+${String(theirs.keyTag).padStart(5, '0')}`);
      assert.equal(signingKeysAt([theirs], Date.now() + 1000).keys[0]?.isActive, true);
      assert.equal(signingKeysAt([theirs], Date.now() + 1000).keys[0]?.isInParent, true);

      const ours = generateKey({ origin: 'ours.example', nowMs });
      writeKeyFiles(path, ours);
      const file = `K${secretEntryName(ours).replace(/\.(\d+)$/, '.+013+$1')}`;
      for (const [digest, type] of [
        ['SHA-256', 2],
        ['SHA-384', 4],
      ] as const) {
        const [, , , tag, , , hex] = run('dnssec-dsfromkey', '-a', digest, file).trim().split(/\s+/);
        assert.equal(Number(tag), ours.keyTag);
        assert.equal(hex?.toLowerCase(), dsOf('ours.example', ours.dnskey, type).subarray(4).toString('hex'));
      }
      assert.match(run('dnssec-settime', '-p', 'A', file), /Activate: .*2026/);
    } finally {
      rmSync(path, { recursive: true });
    }
  },
);
