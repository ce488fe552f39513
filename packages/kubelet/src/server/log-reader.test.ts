import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { fixedNanoseconds, parseLogEntry } from './log-format.ts';
import { type LogReadOptions, readLog } from './log-reader.ts';

const folder = mkdtempSync(join(tmpdir(), 'cl-log-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const file = (text: string): string => {
  const path = join(folder, `${(count += 1)}.log`);
  writeFileSync(path, text);
  return path;
};
const entry = (text: string, options: { at?: string; stream?: string; tag?: string } = {}): string =>
  `${options.at ?? '2026-01-02T03:04:05.6Z'} ${options.stream ?? 'stdout'} ${options.tag ?? 'F'} ${text}\n`;

const read = async (
  path: string,
  selection: Partial<LogReadOptions> = {},
  isRunning: () => boolean = () => false,
): Promise<string> => {
  const parts: Buffer[] = [];
  const chunks = readLog({
    path,
    selection: { follow: false, timestamps: false, stream: 'All', ...selection },
    isRunning: () => Promise.resolve(isRunning()),
    signal: AbortSignal.timeout(10_000),
  });
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
};

describe('the log format of CRI', () => {
  it('reads whole and partial entries, and keeps spaces', () => {
    assert.deepEqual(parseLogEntry(Buffer.from(entry(' two  spaces '))), {
      timestamp: '2026-01-02T03:04:05.6Z',
      stream: 'stdout',
      partial: false,
      text: Buffer.from(' two  spaces \n'),
    });
    assert.equal(parseLogEntry(Buffer.from(entry('half', { tag: 'P' })))?.text.toString(), 'half');
    assert.equal(parseLogEntry(Buffer.from(entry('tagged', { tag: 'F:x' })))?.partial, false);
    assert.equal(parseLogEntry(Buffer.from('no entry\n')), undefined);
    assert.equal(parseLogEntry(Buffer.from(entry('x', { stream: 'other' }))), undefined);
  });

  it('shows nine digits of a second', () => {
    assert.equal(fixedNanoseconds('2026-01-02T03:04:05Z'), '2026-01-02T03:04:05.000000000Z');
    assert.equal(fixedNanoseconds('2026-01-02T03:04:05.12+02:00'), '2026-01-02T03:04:05.120000000+02:00');
  });
});

describe('reading a log', () => {
  it('partial entries make one line with one timestamp', async () => {
    const path = file(entry('a', { tag: 'P' }) + entry('b', { tag: 'P' }) + entry('c') + entry('d'));
    assert.equal(await read(path), 'abc\nd\n');
    const stamp = '2026-01-02T03:04:05.600000000Z';
    assert.equal(await read(path, { timestamps: true }), `${stamp} abc\n${stamp} d\n`);
  });

  it('selects by stream, time and size', async () => {
    const path = file(
      entry('old', { at: '2026-01-01T00:00:00Z' }) +
        entry('out') +
        entry('err', { stream: 'stderr' }) +
        'garbage\n',
    );
    assert.equal(await read(path, { stream: 'Stderr' }), 'err\n');
    assert.equal(await read(path, { sinceMs: Date.parse('2026-01-02T00:00:00Z') }), 'out\nerr\n');
    assert.equal(await read(path, { limitBytes: 6 }), 'old\nou');
  });

  it('the tail is the last lines, whatever their number and length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(70_000), { maxLength: 8 }), fc.nat(10), async (lengths, tail) => {
        const lines = lengths.map((length, index) => `${index}${'x'.repeat(length)}`);
        const path = file(lines.map((line) => entry(line)).join(''));
        const expected = tail === 0 ? [] : lines.slice(-tail);
        assert.equal(await read(path, { tailLines: tail }), expected.map((line) => `${line}\n`).join(''));
      }),
      {
        numRuns: Number(process.env['ITERATIONS'] ?? 20),
        ...(process.env['SEED'] ? { seed: Number(process.env['SEED']) } : {}),
      },
    );
  });

  it('a follower sees every line over rotations, until the container has ended', async () => {
    const path = file(entry('0'));
    let running = true;
    const followed = read(path, { follow: true }, () => running);
    const expected = ['0'];
    for (let at = 1; at <= 30; at += 1) {
      if (at % 10 === 0) {
        renameSync(path, `${path}.${at}`);
        // The writer goes on in the old file until it is told to reopen.
        appendFileSync(`${path}.${at}`, entry(`late ${at}`));
        expected.push(`late ${at}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      appendFileSync(path, entry(String(at)));
      expected.push(String(at));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    running = false;
    assert.equal(await followed, expected.map((line) => `${line}\n`).join(''));
  });
});
