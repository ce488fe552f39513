import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Attachment, AttachmentStore } from './attachments.ts';

const attachment = (containerId: string): Attachment => ({
  containerId,
  ifName: 'eth0',
  hostInterface: 'cl0123456789ab',
  ip: '10.244.0.2',
  netns: '/run/netns/x',
  pod: 'shop/web-0',
  hostPorts: [],
});

describe('records of pod interfaces', () => {
  let folder = '';
  const damaged: string[] = [];
  const open = (bootId = 'boot-1'): AttachmentStore =>
    new AttachmentStore(folder, bootId, (file) => damaged.push(file.slice(folder.length + 1)));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudless-attachments-'));
    damaged.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are there again after a restart, and gone after their deletion', async () => {
    const store = open();
    await store.put(attachment('c1'));
    await store.put(attachment('c2'));
    store.delete('c1', 'eth0');
    store.delete('c1', 'eth0');
    const again = open();
    assert.deepEqual(again.all(), [attachment('c2')]);
    assert.deepEqual(again.get('c2', 'eth0'), attachment('c2'));
    assert.equal(again.get('c2', 'eth1'), undefined);
  });

  it('of another boot are dropped: no network namespace outlives its kernel', async () => {
    await open('boot-1').put(attachment('c1'));
    assert.deepEqual(open('boot-2').all(), []);
    assert.deepEqual(readdirSync(folder), ['boot-2']);
  });

  it('that are damaged are reported by name and removed; the others stay', async () => {
    await open().put(attachment('c1'));
    const at = join(folder, 'boot-1');
    writeFileSync(join(at, 'half.eth0'), '{"containerId": "ha');
    writeFileSync(join(at, 'empty.eth0'), '');
    writeFileSync(join(at, 'null.eth0'), 'null');
    writeFileSync(join(at, 'fields.eth0'), '{}');
    writeFileSync(join(at, 'other.eth0'), JSON.stringify(attachment('c9')));
    writeFileSync(
      join(at, 'ip.eth0'),
      JSON.stringify({ ...attachment('ip'), ip: '10.0.0.1 }; flush ruleset' }),
    );
    mkdirSync(join(at, 'folder.eth0'));
    assert.deepEqual(open().all(), [attachment('c1')]);
    assert.deepEqual(
      new Set(damaged),
      new Set(
        ['half', 'empty', 'null', 'fields', 'other', 'ip', 'folder'].map((name) => `boot-1/${name}.eth0`),
      ),
    );
    assert.deepEqual(readdirSync(at), ['c1.eth0']);
  });

  it('that a kill left half-written are no records', async () => {
    open();
    writeFileSync(join(folder, 'boot-1', '.c1.eth0'), JSON.stringify(attachment('c1')));
    assert.deepEqual(open().all(), []);
    assert.deepEqual(damaged, []);
    assert.deepEqual(readdirSync(join(folder, 'boot-1')), []);
  });
});
