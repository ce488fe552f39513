import assert from 'node:assert/strict';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const sources = globSync('packages/*/src/**/*.ts', { cwd: root }).filter(
  (file) => !file.includes('/generated/') && !file.endsWith('.test.ts') && !file.includes('/testing/'),
);
const text = (file: string): string => readFileSync(join(root, file), 'utf8');
const packageOf = (file: string): string => file.split('/')[1] as string;

/** Lines of code, without comments. */
function codeLines(file: string): Array<{ number: number; line: string }> {
  return text(file)
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .split('\n')
    .map((line, i) => ({ number: i + 1, line: line.replace(/(^|\s)\/\/.*$/, '') }));
}

describe('the structure of the house', () => {
  it('a part depends on kube and never on another part; only the cli knows all', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const own = packageOf(file);
      if (own === 'cli') continue;
      for (const match of text(file).matchAll(/(?:from|import\()\s*'(@cloudless\/[a-z]+|cloudless)/g)) {
        const target = (match[1] as string).replace('@cloudless/', '');
        if (target !== 'kube' && target !== own) wrong.push(`${file} imports ${match[1]}`);
      }
      for (const match of text(file).matchAll(/from '((?:\.\.\/)+)([^']*)'/g)) {
        const up = (match[1] as string).length / 3;
        if (up > file.split('/').length - 3) wrong.push(`${file} leaves its package: ${match[0]}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('nothing but the node context names a global path (ARCHITECTURE.md, wall 10)', () => {
    const global =
      /['"`](\/var\/lib|\/var\/log|\/run\/|\/var\/run\/(?!secrets)|\/etc\/kubernetes|\/etc\/cni|\/opt\/cni)/;
    const wrong: string[] = [];
    for (const file of sources) {
      if (file.startsWith('packages/kube/src/node/')) continue;
      for (const { number, line } of codeLines(file))
        if (global.test(line)) wrong.push(`${file}:${number}: ${line.trim()}`);
    }
    assert.deepEqual(wrong, []);
  });

  it('one owner of the nft table: no other file runs nft or names a chain with a hook', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      if (file.startsWith('packages/network/src/nft/')) continue;
      for (const { number, line } of codeLines(file))
        if (/type (nat|filter|route) hook/.test(line) || /(spawn|execFile)\w*\(\s*'nft'/.test(line))
          wrong.push(`${file}:${number}: ${line.trim()}`);
    }
    assert.deepEqual(wrong, []);
  });

  it('nothing in the repository reads the plan it was built from, or names a machine’s path', () => {
    const files = globSync(
      ['packages/**/*.ts', 'scripts/**/*', 'tests/**/*.ts', 'bench/*.ts', '.ci/run', 'bin/*'],
      {
        cwd: root,
        exclude: (name) => name.includes('node_modules'),
      },
    ).filter((file) => statSync(join(root, file)).isFile());
    const wrong = files.filter(
      (file) => !file.endsWith('structure.test.ts') && /\.\.\/shared\/|\/work\/main/.test(text(file)),
    );
    assert.deepEqual(wrong, []);
  });
});
