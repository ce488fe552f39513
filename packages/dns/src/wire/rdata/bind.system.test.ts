import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import { WireError } from '../name.ts';
import { typeNumber } from '../types.ts';
import { badData, goodData } from '../testing/data-corpus.ts';
import { genericText, parseData, printData } from './data.ts';
import { tokensOf } from './token.ts';

const skip = missingPeer('named-compilezone');
const head = '$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n';

/** BIND's reading of a zone: what it prints, and what it complains about. */
function compiled(records: readonly string[]): { output: string; complaints: string } {
  const peer = findPeer('named-compilezone');
  assert.ok(peer);
  const folder = mkdtempSync(join(tmpdir(), 'dns-rdata-'));
  try {
    const file = join(folder, 'zone');
    writeFileSync(file, head + records.join('\n') + '\n');
    const options = [
      '-k',
      'ignore',
      '-n',
      'ignore',
      '-i',
      'none',
      '-r',
      'ignore',
      '-m',
      'ignore',
      '-M',
      'ignore',
      '-S',
      'ignore',
    ];
    const { stdout, stderr } = spawnSync(
      peer.program,
      [...options, '-s', 'full', '-o', '-', 'example', file],
      {
        env: peer.env,
        encoding: 'utf8',
      },
    );
    return { output: stdout, complaints: stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function split(record: string): { type: number; text: string } {
  const [, mnemonic = '', text = ''] = /^(\S+) ?([^]*)$/.exec(record) ?? [];
  const type = typeNumber(mnemonic);
  assert.ok(type !== undefined, mnemonic);
  return { type, text };
}

function parsed(record: string): Buffer {
  const { type, text } = split(record);
  return parseData(type, tokensOf(text), { origin: 'example' });
}

describe('data of records, with BIND as oracle', { skip }, () => {
  it('reads and prints what BIND reads and prints', () => {
    const zone = goodData.flatMap((record, i) => {
      const { type, text } = split(record);
      return [
        `a${i} ${record}`,
        `b${i} TYPE${type} ${genericText(parsed(record))}`,
        `c${i} TYPE${type} ${printData(type, parsed(record))}`,
      ].map((line) => (text === '' ? line.trimEnd() : line));
    });
    const { output, complaints } = compiled(zone);
    const printed = new Map(
      output.split('\n').map((line) => {
        const [, owner = '', rest = ''] = /^(\w+)\.example\.\s+60\s+IN\s+(.*)$/.exec(line) ?? [];
        return [owner, rest.replaceAll(/\s+/g, ' ')] as const;
      }),
    );
    const unlike = goodData.flatMap((record, i) => {
      const { type } = split(record);
      const [bind, fromWire, fromText] = ['a', 'b', 'c'].map((prefix) => printed.get(`${prefix}${i}`));
      const ours = printData(type, parsed(record)).replaceAll(/\s+/g, '');
      // BIND breaks long digits into groups.
      const bindData = bind?.slice(bind.indexOf(' ') + 1).replaceAll(' ', '');
      return bind !== undefined && bind === fromWire && bind === fromText && bindData === ours
        ? []
        : [{ record, bind, fromWire, fromText, ours }];
    });
    assert.deepEqual(unlike, [], complaints);
  });

  it('refuses what BIND refuses', () => {
    const { complaints } = compiled(badData.map((record, i) => `a${i} ${record}`));
    const refused = new Set([...complaints.matchAll(/zone:(\d+):/g)].map((match) => Number(match[1])));
    const firstLine = head.split('\n').length;
    for (const [i, record] of badData.entries()) {
      assert.ok(refused.has(firstLine + i), `BIND takes ${record}\n${complaints}`);
      assert.throws(() => parsed(record), WireError, record);
    }
  });
});
