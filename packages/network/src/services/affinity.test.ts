import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forgetClients, forgetting, parseClients, remembering } from './affinity.ts';
import type { Frontend } from './model.ts';
import { ServiceProgram } from './program.ts';

// As `nft -j list map` of nftables 1.0.6 prints them.
const element = (client: string, endpoint: string, timing: object): unknown => [
  { elem: { val: { concat: [client, '203.0.113.9', 'tcp', 80] }, ...timing } },
  { concat: [endpoint, 8080] },
];
const listing = [
  { metainfo: { version: '1.0.6' } },
  {
    map: {
      name: 'services-clients4',
      elem: [
        element('198.51.100.1', '10.244.0.1', { timeout: 20, expires: 9 }),
        element('198.51.100.2', '10.244.0.2', { expires: 10_000 }),
        element('198.51.100.3', '10.244.0.1', { expires: 0 }),
      ],
    },
  },
];
const front = (endpoints: string[]): Frontend => ({
  ip: '203.0.113.9',
  protocol: 'tcp',
  port: 80,
  endpoints: endpoints.map((ip) => ({ ip, port: 8080 })),
  outside: 'masqueraded',
  affinitySeconds: 20,
});
const programOf = (endpoints: string[]): ServiceProgram => {
  const program = new ServiceProgram();
  program.set('default/web', [front(endpoints)]);
  return program;
};
const key = '203.0.113.9 . tcp . 80';

describe('clients that the kernel remembers', () => {
  const clients = parseClients(listing);

  it('are read from its listing; anything else is none', () => {
    assert.deepEqual(
      clients.map(({ client, endpoint, timeoutSeconds }) => [client, endpoint.ip, timeoutSeconds]),
      [
        ['198.51.100.1', '10.244.0.1', 20],
        ['198.51.100.2', '10.244.0.2', 10_800],
        ['198.51.100.3', '10.244.0.1', 10_800],
      ],
    );
    assert.deepEqual(parseClients([{ map: { name: 'services-clients4' } }]), []);
    assert.deepEqual(parseClients([]), []);
  });

  it('go into a new table with the time that is left to them, unless their endpoint is gone', () => {
    assert.deepEqual(remembering(clients, programOf(['10.244.0.1'])), [
      `add element inet cloudless services-clients4 { 198.51.100.1 . ${key} timeout 20s expires 9s : 10.244.0.1 . 8080 }`,
    ]);
  });

  it('are forgotten with their endpoint, or all when the rules have changed', () => {
    const program = programOf(['10.244.0.1']);
    const gone = (which: 'some' | 'all'): string[] =>
      forgetting(clients, new Map([[key, which]]), program).map((line) => /\{ (\S+)/.exec(line)?.[1] ?? '');
    assert.deepEqual(gone('some'), ['198.51.100.2']);
    assert.deepEqual(gone('all'), ['198.51.100.1', '198.51.100.2', '198.51.100.3']);
    assert.deepEqual(forgetting(clients, new Map([['10.0.0.1 . tcp . 80', 'all']]), program), []);
  });

  it('one that lapses meanwhile does not keep the others', () => {
    const tried: string[] = [];
    const table = {
      listMap: () => listing,
      attempt: (_: unknown, script: string) => (tried.push(script), !script.includes('198.51.100.1 ')),
    };
    forgetClients(table, new Map([[key, 'all']]), programOf([]));
    assert.deepEqual(tried.slice(1), tried[0]?.split('\n'));
  });

  it('a change names those that must be looked for', () => {
    const program = programOf(['10.244.0.1', '10.244.0.2']);
    const change = (frontends: Frontend[]): unknown => [
      ...program.set('default/web', frontends).staleClients,
    ];
    assert.deepEqual(change([front(['10.244.0.1', '10.244.0.2'])]), []);
    assert.deepEqual(change([front(['10.244.0.1'])]), [[key, 'some']]);
    assert.deepEqual(change([{ ...front(['10.244.0.1']), outside: [] }]), [[key, 'all']]);
    assert.deepEqual(change([]), [[key, 'all']]);
  });

  it('a new timeout needs a chain, and so a new table, once', () => {
    const program = new ServiceProgram();
    assert.equal(program.set('a/one', [front(['10.244.0.1'])]).rebuild, true);
    assert.equal(program.set('a/two', [{ ...front(['10.244.0.1']), port: 81 }]).rebuild, false);
    assert.match(program.content().declarations, /set services-sticky-20s-4 /);
  });
});
