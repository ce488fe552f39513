import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { program } from './program.ts';

const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');
const firstCells = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] as string);

describe('the README of the command', () => {
  it('has every flag of up and agent, and no other', () => {
    const told = firstCells(readme, /^\| `(--[a-z-]+)` \|/gm);
    const there = program()
      .commands.filter((command) => ['up', 'agent'].includes(command.name()))
      .flatMap((command) => command.options.map((option) => option.long as string));
    assert.deepEqual(new Set(told), new Set(there));
    assert.equal(new Set(told).size, told.length);
  });

  it('has every command', () => {
    const told = firstCells(readme.split('## Flags')[0] ?? '', /^\| `([a-z]+)/gm);
    const there = program()
      .commands.map((command) => command.name())
      .filter((name) => !['process', 'supervise'].includes(name));
    assert.deepEqual(new Set(told), new Set(there));
  });
});
