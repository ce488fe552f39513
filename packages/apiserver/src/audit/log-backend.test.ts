import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { openAudit } from './index.ts';
import { LogBackend, type LineWriter, type Mode } from './log-backend.ts';
import { RotatingFile } from './rotating-file.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'cloudless-audit-'))));
afterEach(() => rm(folder, { recursive: true }));

const line = (text: string): Buffer => Buffer.from(`${text}\n`);
const backendOf = (writer: LineWriter, mode: Mode): LogBackend =>
  new LogBackend({ writer, mode, clock: systemClock, log: logger('test') });

describe('LogBackend', () => {
  it('writes what is gathered together, in order, and all of it before it closes', async () => {
    const writes: string[] = [];
    const backend = backendOf(
      {
        append: (bytes) => Promise.resolve(void writes.push(bytes.toString())),
        close: () => Promise.resolve(void writes.push('closed')),
      },
      'batch',
    );
    for (let i = 0; i < 1000; i++) assert.equal(backend.write(line(String(i))), undefined);
    await backend.close();
    assert.equal(writes.length, 2);
    assert.equal(writes[0], Array.from({ length: 1000 }, (_, i) => `${i}\n`).join(''));
    assert.equal(backend.written, 1000);
  });

  it('blocks only when told so, and fails only when strict', async () => {
    const broken: LineWriter = {
      append: () => Promise.reject(new Error('disk full')),
      close: () => Promise.resolve(),
    };
    assert.equal(backendOf(broken, 'batch').write(line('x')), undefined);
    const blocking = backendOf(broken, 'blocking');
    await blocking.write(line('x'));
    assert.equal(blocking.lost, 1);
    await assert.rejects(
      async () => await backendOf(broken, 'blocking-strict').write(line('x')),
      /failed to store/,
    );
  });

  it('holds no more than its share of memory while the disk hangs', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let written = 0;
    const backend = backendOf(
      {
        append: (bytes) => promise.then(() => void (written += bytes.length)),
        close: () => Promise.resolve(),
      },
      'batch',
    );
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    for (let i = 0; i < 100; i++) void backend.write(mebibyte);
    assert.equal(backend.lost, 36);
    resolve();
    await backend.close();
    assert.equal(written, 64 * 1024 * 1024);
  });
});

describe('RotatingFile', () => {
  it('is set aside when it is full; backups that are too many or too old go', async () => {
    let now = Date.parse('2026-01-10T00:00:00Z');
    const old = '2025-12-01T00-00-00.000';
    await writeFile(join(folder, `audit-${old}.log`), 'old');
    await writeFile(join(folder, 'audit-other.log'), 'not ours');
    const file = new RotatingFile(
      join(folder, 'audit.log'),
      { maxSizeMib: 1, maxBackups: 2, maxAgeDays: 30 },
      () => now,
    );
    for (let i = 0; i < 5; i++) {
      await file.append(Buffer.alloc(700 * 1024, String(i)));
      now += 1000;
    }
    await file.close();
    assert.deepEqual((await readdir(folder)).sort(), [
      'audit-2026-01-10T00-00-03.000.log',
      'audit-2026-01-10T00-00-04.000.log',
      'audit-other.log',
      'audit.log',
    ]);
    assert.equal((await readFile(join(folder, 'audit.log'), 'utf8'))[0], '4');
  });

  it('goes on where it stood', async () => {
    const path = join(folder, 'deep', 'audit.log');
    for (const text of ['a', 'b']) {
      const file = new RotatingFile(path, { maxSizeMib: 0, maxBackups: 0, maxAgeDays: 0 }, Date.now);
      await file.append(line(text));
      await file.close();
    }
    assert.equal(await readFile(path, 'utf8'), 'a\nb\n');
  });
});

describe('openAudit', () => {
  const open = (policyFile: string, logPath: string) =>
    openAudit({ policyFile, logPath, clock: systemClock, log: logger('test') });

  it('says what is wrong with its files', async () => {
    const policy = join(folder, 'policy.yaml');
    await assert.rejects(
      open(policy, join(folder, 'a.log')),
      /the audit policy in .*policy\.yaml cannot be used: ENOENT/,
    );
    await writeFile(policy, 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n');
    await assert.rejects(
      open(policy, join(folder, 'a.log')),
      /rules\[0\]\.level: Unsupported value: "Everything"/,
    );
    await writeFile(policy, 'a: [b\n');
    await assert.rejects(open(policy, join(folder, 'a.log')), /the audit policy in .* cannot be used: /);
    await writeFile(policy, 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n');
    await assert.rejects(open(policy, folder), /the audit log .* cannot be written: it is a folder/);
  });
});
