import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import { arbitraryChanges, NftMaps } from '../testing/nft-maps.ts';
import type { Frontend } from './model.ts';
import { ServiceProgram } from './program.ts';

const udp = (endpoints: string[]): Frontend => ({
  ip: '10.96.0.10',
  protocol: 'udp',
  port: 53,
  endpoints: endpoints.map((ip) => ({ ip, port: 53 })),
  outside: 'same',
});

describe('the service maps', () => {
  it('any sequence of changes ends where a fresh build does', () => {
    fc.assert(
      fc.property(arbitraryChanges, (changes) => {
        const program = new ServiceProgram();
        const kernel = new NftMaps();
        kernel.run(program.content().elements.join('\n'));
        for (const { owner, frontends, addresses } of changes) {
          const change = program.set(owner, frontends, addresses);
          if (change.rebuild) {
            kernel.clear();
            kernel.run(program.content().elements.join('\n'));
          } else kernel.run(change.script);
        }
        const fresh = new NftMaps();
        const again = new ServiceProgram();
        for (const owner of new Set(changes.map((change) => change.owner))) {
          const last = changes.findLast((change) => change.owner === owner);
          again.set(owner, last?.frontends ?? [], last?.addresses);
        }
        fresh.run(again.content().elements.join('\n'));
        assert.deepEqual(kernel.content(), fresh.content());
      }),
      { numRuns: 500 },
    );
  });

  it('a change of one Service touches only its own elements', () => {
    const program = new ServiceProgram();
    program.set('a/one', [{ ...udp(['10.244.0.1']), ip: '10.96.0.1' }]);
    const { script } = program.set('a/two', [{ ...udp(['10.244.0.2']), ip: '10.96.0.2' }]);
    assert.doesNotMatch(script, /10\.96\.0\.1 /);
    assert.equal(program.set('a/two', [{ ...udp(['10.244.0.2']), ip: '10.96.0.2' }]).script, '');
  });

  it('asks for a rebuild when a frontend has more endpoints than there are chains, and has them afterwards', () => {
    const program = new ServiceProgram();
    const many = Array.from({ length: 17 }, (_, i) => `10.244.0.${i + 1}`);
    assert.equal(program.set('a/many', [udp(many)]).rebuild, true);
    assert.match(program.content().declarations, /chain services-all-spread4-32 /);
    assert.equal(program.set('a/more', [{ ...udp(many), port: 54 }]).rebuild, false);
  });

  it('names the UDP flows that would go on to endpoints that are gone', () => {
    const program = new ServiceProgram();
    const flows = (frontends: Frontend[]): string[] =>
      program
        .set('kube-system/kube-dns', frontends)
        .staleFlows.map(({ ip, port, endpoint }) => `${ip}:${port} → ${endpoint?.ip ?? 'any'}`);
    assert.deepEqual(flows([udp([])]), [], 'it was not there, and nothing answers');
    assert.deepEqual(flows([udp(['10.244.0.1'])]), ['10.96.0.10:53 → any'], 'the first endpoint');
    assert.deepEqual(flows([udp(['10.244.0.1', '10.244.0.2'])]), [], 'one more');
    assert.deepEqual(flows([udp(['10.244.0.2'])]), ['10.96.0.10:53 → 10.244.0.1'], 'one less');
    assert.deepEqual(flows([]), ['10.96.0.10:53 → 10.244.0.2'], 'the Service is gone');
    assert.deepEqual(flows([{ ...udp(['10.244.0.1']), protocol: 'tcp' }]), [], 'TCP ends by itself');
  });

  it('a Service that takes over another’s address has it, whichever change is seen first', () => {
    const mine = [{ ...udp(['10.244.0.1']), ip: '10.96.0.7' }];
    const theirs = [{ ...udp(['10.244.0.2']), ip: '10.96.0.7' }];
    for (const order of [
      ['a/old', 'b/new'],
      ['b/new', 'a/old'],
    ]) {
      const program = new ServiceProgram();
      const kernel = new NftMaps();
      kernel.run(program.set('a/old', mine).script);
      for (const owner of order) kernel.run(program.set(owner, owner === 'a/old' ? [] : theirs).script);
      const fresh = new ServiceProgram();
      const expected = new NftMaps();
      expected.run(fresh.set('b/new', theirs).script);
      assert.deepEqual(kernel.content(), expected.content());
    }
  });
});
