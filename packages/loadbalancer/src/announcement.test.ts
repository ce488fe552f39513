import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type AddressPlan, AnnouncementTable } from './announcement.ts';
import { AnnouncementFileError, loadAnnouncementFile, parseAnnouncements } from './file-source.ts';

const service = (name: string) => ({ kind: 'service' as const, name });

describe('announcements are keyed by address (ARCHITECTURE, wall 8)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-announce-'));
  after(() => rmSync(folder, { recursive: true }));

  it('a file asks for an address with no API and no Service anywhere', () => {
    const path = join(folder, 'vip.yaml');
    writeFileSync(path, 'announcements:\n  - address: 192.0.2.10\n    candidates: [node-2, node-1]\n');
    const table = new AnnouncementTable();
    const heard: Array<[string, AddressPlan | undefined]> = [];
    table.subscribe((address, plan) => heard.push([address, plan]));
    loadAnnouncementFile(path, table);
    const plan = {
      address: '192.0.2.10',
      candidates: ['node-1', 'node-2'],
      interfaces: 'any' as const,
      sources: [{ kind: 'file' as const, name: path }],
      refused: [],
    };
    assert.deepEqual(heard, [['192.0.2.10', plan]]);
    writeFileSync(path, 'announcements: []\n');
    loadAnnouncementFile(path, table);
    assert.deepEqual(heard[1], ['192.0.2.10', undefined]);
  });

  it('Services that share an address are announced once, from nodes that can serve all of them', () => {
    const table = new AnnouncementTable();
    table.set(service('a/tcp'), [{ address: '192.0.2.9', candidates: ['n1', 'n2'], interfaces: 'any' }]);
    table.set(service('a/udp'), [{ address: '192.0.2.9', candidates: ['n2', 'n3'], interfaces: ['eth1'] }]);
    assert.deepEqual(table.get('192.0.2.9')?.candidates, ['n2']);
    assert.deepEqual(table.get('192.0.2.9')?.interfaces, ['eth1']);
    table.set(service('a/tcp'), []);
    assert.deepEqual(table.get('192.0.2.9')?.candidates, ['n2', 'n3']);
  });

  it('a source that no node could serve with the others is refused and named', () => {
    const table = new AnnouncementTable();
    table.set(service('a/one'), [{ address: '192.0.2.9', candidates: ['n1'], interfaces: 'any' }]);
    table.set(service('a/two'), [{ address: '192.0.2.9', candidates: ['n2'], interfaces: 'any' }]);
    assert.deepEqual(table.get('192.0.2.9')?.refused, [service('a/two')]);
    assert.deepEqual(table.get('192.0.2.9')?.candidates, ['n1']);
  });

  it('both addresses of a dual-stack Service are elected by its first', () => {
    const table = new AnnouncementTable();
    const common = { candidates: ['n1'], interfaces: 'any', electedBy: '192.0.2.9' } as const;
    table.set(service('a/dual'), [
      { address: '192.0.2.9', ...common },
      { address: '2001:db8::9', ...common },
    ]);
    assert.equal(table.get('192.0.2.9')?.electedBy, undefined);
    assert.equal(table.get('2001:db8::9')?.electedBy, '192.0.2.9');
  });

  it('an unchanged plan is not heard of twice', () => {
    const table = new AnnouncementTable();
    let heard = 0;
    table.subscribe(() => (heard += 1));
    table.set(service('a/one'), [{ address: 'fd00::9', candidates: 'any', interfaces: 'any' }]);
    table.set(service('a/one'), [{ address: 'fd00::9', candidates: 'any', interfaces: 'any' }]);
    assert.equal(heard, 1);
  });

  for (const [text, message] of [
    ['announcements: 3', 'vip.yaml: announcements: expected a list'],
    [
      'announcements: [{address: 300.0.0.1}]',
      'vip.yaml: announcements[0].address: "300.0.0.1" is no IP address',
    ],
    ['announcements: [{address: 10.0.0.1, nodes: [a]}]', 'vip.yaml: announcements[0].nodes: unknown field'],
    [
      'announcements: [{address: "fd00::1"}, {address: "fd00:0::1"}]',
      'vip.yaml: announcements[1].address: fd00::1 stands twice',
    ],
    ['announcements: []\nmember: []', 'vip.yaml: member: unknown field'],
    ['announcements: []\nmembers: [{name: n1}]', 'vip.yaml: members[0].address: undefined is no IP address'],
    [
      'announcements: []\nmembers: [{name: n1, address: 10.0.0.1}, {name: n1, address: 10.0.0.2}]',
      'vip.yaml: members[1].name: n1 stands twice',
    ],
    [
      'announcements: [{address: 10.0.0.1, candidates: []}]',
      'vip.yaml: announcements[0].candidates: expected a list of names with at least one',
    ],
  ] as const)
    it(`refuses ${text}`, () => {
      assert.throws(() => parseAnnouncements(text, 'vip.yaml'), new AnnouncementFileError(message));
    });

  it('a broken file leaves the last good announcements in force', () => {
    const path = join(folder, 'vip.yaml');
    const table = new AnnouncementTable();
    writeFileSync(path, 'announcements: [{address: 192.0.2.1}]');
    loadAnnouncementFile(path, table);
    writeFileSync(path, 'announcements: [{address: 192.0.2');
    assert.throws(() => loadAnnouncementFile(path, table), AnnouncementFileError);
    assert.ok(table.get('192.0.2.1'));
  });
});
