import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, afterEach, describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import type { Logger } from '@cloudless/kube/logger';
import * as fc from 'fast-check';
import { contentWithClients } from '../services/affinity.ts';
import { ServiceProgram } from '../services/program.ts';
import { isolate } from '../testing/namespaces.ts';
import { arbitraryChanges } from '../testing/nft-maps.ts';
import { keepTable } from './keeper.ts';
import { openNft } from './libnftables.ts';
import { openTable } from './table.ts';

isolate();

// nft has no JSON for every statement and says so for each: piped, not shown.
const run = (...args: string[]): string => execFileSync('nft', args, { encoding: 'utf8', stdio: 'pipe' });
const ruleset = (): string => run('list', 'ruleset');

/** The table with the elements of each map and set in one order. */
function sorted(): string {
  return run('-j', 'list', 'table', 'inet', 'cloudless')
    .replace(/"handle": \d+,? ?/g, '')
    .replace(/"elem": (\[.*?\])(?=\}\})/g, (_, list: string) =>
      JSON.stringify((JSON.parse(list) as unknown[]).map((item) => JSON.stringify(item)).sort()),
    );
}

describe('the nftables table in the kernel', () => {
  const nft = openNft();
  const table = openTable(nft);
  const warnings: string[] = [];
  const hear = (_: unknown, text: string): void => void warnings.push(text);
  const log = { warn: hear, debug: hear, error: hear } as unknown as Logger;
  const keepers: Array<ReturnType<typeof keepTable>> = [];
  const keep = (program: ServiceProgram): ReturnType<typeof keepTable> => {
    const keeper = keepTable({ table, content: () => [program.content()], log });
    keepers.push(keeper);
    return keeper;
  };
  // Also those of a test that failed: their timers would hold this process.
  afterEach(async () => {
    for (const keeper of keepers.splice(0)) await keeper.stop();
    table.remove();
    warnings.length = 0;
  });
  after(() => nft.close());

  it('any sequence of Services’ changes ends in the same table as a fresh build', () => {
    fc.assert(
      fc.property(arbitraryChanges, (changes) => {
        const program = new ServiceProgram();
        table.replace([program.content()]);
        for (const { owner, frontends, addresses } of changes) {
          const { script, rebuild } = program.set(owner, frontends, addresses);
          if (rebuild) table.replace([program.content()]);
          else if (script !== '') table.change('services', script);
        }
        const stepped = sorted();
        table.replace([program.content()]);
        assert.equal(stepped, sorted());
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 30) },
    );
  });

  it('leaves everybody else’s rules as they are, when it is built, changed and removed', async () => {
    run('add', 'table', 'inet', 'theirs');
    run('add', 'chain', 'inet', 'theirs', 'in', '{ type filter hook input priority 0; }');
    const before = ruleset();
    const program = new ServiceProgram();
    const keeper = keep(program);
    keeper.rebuild();
    keeper.change('services', program.set('a/b', [udpFrontend]).script);
    await keeper.check();
    await keeper.stop();
    table.remove();
    assert.equal(ruleset(), before);
    run('delete', 'table', 'inet', 'theirs');
  });

  for (const [sentence, damage] of [
    ['flushed the whole ruleset', ['flush', 'ruleset']],
    ['flushed the table’s rules', ['flush', 'table', 'inet', 'cloudless']],
    ['flushed one chain', ['flush', 'chain', 'inet', 'cloudless', 'services-output']],
    ['added a rule of their own', ['insert', 'rule', 'inet', 'cloudless', 'services-output', 'accept']],
  ] as const)
    it(`is whole again after an administrator ${sentence}`, async () => {
      const program = new ServiceProgram();
      program.set('a/b', [udpFrontend]);
      const keeper = keep(program);
      keeper.rebuild();
      await keeper.check();
      const before = sorted();
      run(...damage);
      await keeper.check();
      assert.equal(sorted(), before);
      assert.deepEqual(warnings, ['someone changed the nftables table; building it anew']);
    });

  it('what Services and packets put into maps is nobody’s damage; a new table goes on with the clients', async () => {
    const program = new ServiceProgram();
    const keeper = keepTable({ table, content: () => [contentWithClients(table, program)], log });
    keepers.push(keeper);
    program.set('a/b', [{ ...udpFrontend, affinitySeconds: 10_800 }]);
    keeper.rebuild();
    await keeper.check();
    const client = '198.51.100.7 . 10.96.0.10 . udp . 53';
    const element = `{ ${client} timeout 2m expires 1m : 10.244.0.5 . 53 }`;
    run('add', 'element', 'inet', 'cloudless', 'services-clients4', element);
    keeper.change('services', program.set('a/c', [{ ...udpFrontend, port: 54 }]).script);
    await keeper.check();
    assert.deepEqual(warnings, []);
    keeper.rebuild();
    assert.match(ruleset(), /198\.51\.100\.7 \. 10\.96\.0\.10 \. udp \. 53 timeout 2m expires 5\ds/);
  });

  it('a change that meets a damaged table builds it anew at once', async () => {
    const program = new ServiceProgram();
    const keeper = keep(program);
    keeper.rebuild();
    run('flush', 'ruleset');
    keeper.change('services', program.set('a/b', [udpFrontend]).script);
    assert.match(ruleset(), /10\.96\.0\.10 \. udp \. 53/);
  });

  it('an earlier agent’s table serves on until the first build, whatever a change says of it', async () => {
    const earlier = new ServiceProgram();
    earlier.set('a/b', [udpFrontend]);
    table.replace([earlier.content()]);
    const program = new ServiceProgram();
    const keeper = keep(program);
    keeper.change('services', 'delete element inet cloudless services-unavailable4 { 10.96.0.99 . tcp . 1 }');
    await keeper.check();
    assert.match(ruleset(), /10\.96\.0\.10 \. udp \. 53/);
    keeper.rebuild();
    assert.doesNotMatch(ruleset(), /10\.96\.0\.10/);
  });
});

const udpFrontend = {
  ip: '10.96.0.10',
  protocol: 'udp' as const,
  port: 53,
  endpoints: [{ ip: '10.244.0.5', port: 53 }],
  outside: 'same' as const,
};
