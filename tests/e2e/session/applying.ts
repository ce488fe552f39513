import assert from 'node:assert/strict';
import type { Chapter, Session } from './session.ts';

const map = (name: string, data: Record<string, string>): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

/** A Service with one port of these facts. */
const service = (port: Record<string, unknown>): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'pier' },
    spec: { selector: { app: 'd' }, ports: [{ port: 80, protocol: 'TCP', ...port }] },
  });

const dataOf = async (s: Session, name: string): Promise<unknown> =>
  JSON.parse(await s.k(`get configmap ${name} -o json`)).data;

/** Their own order is that of their times, which may be of one second. */
const byManager = (a: { manager: string }, b: { manager: string }): number =>
  a.manager < b.manager ? -1 : 1;

const as = (manager: string, more = ''): string =>
  `apply --server-side --field-manager=${manager}${more} -f -`;

export const applying: Chapter = {
  'apply --server-side: a manager’s fields come and go, those of others stay': async (s) => {
    assert.equal(
      await s.feed(map('chart', { a: '1', b: '1', c: '1' }), as('captain')),
      'configmap/chart serverside-applied\n',
    );
    await s.feed(map('chart', { c: '1', d: '1' }), as('mate'));
    await s.feed(map('chart', { a: '2' }), as('captain'));
    // b was the captain's alone; c is the mate's too.
    assert.deepEqual(await dataOf(s, 'chart'), { a: '2', c: '1', d: '1' });
    const { metadata } = JSON.parse(
      await s.k(`get configmap chart -o json${s.minor >= 21 ? ' --show-managed-fields' : ''}`),
    );
    assert.deepEqual(
      metadata.managedFields
        .toSorted(byManager)
        .map((each: Record<string, unknown>) => [each['manager'], each['operation'], each['fieldsV1']]),
      [
        ['captain', 'Apply', { 'f:data': { 'f:a': {} } }],
        ['mate', 'Apply', { 'f:data': { 'f:c': {}, 'f:d': {} } }],
      ],
    );
  },

  'apply --server-side: what another manages is a conflict, unless forced': async (s) => {
    const said = await s.refusedInput(map('chart', { a: '3', c: '3' }), as('pirate'));
    assert.match(
      said,
      /Apply failed with 2 conflicts: conflicts with "captain":\n- \.data\.a\nconflicts with "mate":\n- \.data\.c\n/,
    );
    assert.match(said, /--force-conflicts/);
    assert.deepEqual(await dataOf(s, 'chart'), { a: '2', c: '1', d: '1' });
    await s.feed(map('chart', { a: '3', c: '3' }), as('pirate', ' --force-conflicts'));
    assert.deepEqual(await dataOf(s, 'chart'), { a: '3', c: '3', d: '1' });
    assert.match(
      await s.refusedInput(map('chart', { a: '4' }), as('captain')),
      /Apply failed with 1 conflict: conflict with "pirate": \.data\.a/,
    );
  },

  'apply --server-side: items of a list are known by their keys': async (s) => {
    await s.feed(service({ name: 'www', targetPort: 8080 }), as('captain'));
    assert.match(
      await s.refusedInput(service({ name: 'web', targetPort: 8081 }), as('mate')),
      /Apply failed with 2 conflicts: conflicts with "captain":\n- \.spec\.ports\[port=80,protocol="TCP"\]\.name\n- \.spec\.ports\[port=80,protocol="TCP"\]\.targetPort/,
    );
    const second = service({ name: 'tls', port: 443, targetPort: 8443 });
    await s.feed(second, as('mate'));
    assert.equal(await s.value('service pier', '.spec.ports[*].name'), 'www tls');
    await s.feed(service({ name: 'www', targetPort: 9090 }), as('captain'));
    assert.equal(await s.value('service pier', '.spec.ports[*].targetPort'), '9090 8443');
    await s.k('delete service pier');
  },

  'apply --server-side over what was applied on the client': async (s) => {
    await s.feed(map('log', { a: '1', b: '1' }), 'apply -f -');
    await s.feed(map('log', { a: '2' }), 'apply --server-side -f -');
    // What kubectl applied before is known by its manager's name, since 1.26 it is taken over.
    const expected = s.minor >= 26 ? { a: '2' } : { a: '2', b: '1' };
    assert.deepEqual(await dataOf(s, 'log'), expected);
    await s.k('delete configmap log');
  },

  'diff --server-side, and --dry-run of an apply on the server': async (s) => {
    // Which command says so has changed; that there is a difference is told by the exit code.
    const said = await s.refusedInput(
      map('chart', { a: '9', c: '3' }),
      'diff --server-side --field-manager=pirate -f -',
    );
    assert.match(said, /exit code 1\n[\s\S]*\n- {2}a: "3"\n\+ {2}a: "9"\n/);
    const same = map('chart', { a: '3', c: '3' });
    assert.equal(await s.feed(same, 'diff --server-side --field-manager=pirate -f -'), '');
    assert.match(
      await s.feed(map('chart', { a: '9' }), as('pirate', ' --dry-run=server')),
      /configmap\/chart serverside-applied \(server dry run\)/,
    );
    assert.deepEqual(await dataOf(s, 'chart'), { a: '3', c: '3', d: '1' });
    await s.k('delete configmap chart');
  },

  'patch of a status': async (s) => {
    if (s.minor < 24) {
      assert.match(
        await s.refused('patch deployment d --subresource=status -p {}'),
        /unknown flag: --subresource/,
      );
      return;
    }
    const condition = '[{"type":"Painted","status":"True","lastTransitionTime":null}]';
    await s.k(
      `patch deployment d --subresource=status --type=strategic -p {"status":{"conditions":${condition}}}`,
    );
    assert.match(await s.k('get deployment d --subresource=status -o json'), /"Painted"/);
    const scale = 'patch deployment d --subresource=scale --type=merge -p {"spec":{"replicas":2}}';
    assert.match(await s.k(scale), /patched/);
  },

  'get by short name, several at once': async (s) => {
    assert.match(
      await s.k('get deploy,rs,svc,cm -o name'),
      /^deployment\.apps\/d\nreplicaset\.apps\/d-[\s\S]*\nservice\/d\n[\s\S]*configmap\/c$/m,
    );
    assert.match(await s.k('get ep d'), /^d +10\.244\./m);
    assert.match(
      await s.anywhere('get ns,no,pc,sc -o name'),
      /^namespace\/default$[\s\S]*^node\/node-1$[\s\S]*^priorityclass/m,
    );
  },
};
