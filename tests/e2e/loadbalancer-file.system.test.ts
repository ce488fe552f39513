import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { missingPeer } from '../../packages/kube/src/testing/peers.ts';
import { isolate, type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { cloudless, eventually } from './cluster.ts';
import { arpAnswers, Segment } from './segment.ts';

const skip = missingPeer('arping');
if (!skip) isolate();

const vip = '192.0.2.100';

// The control plane's own address is needed before the control plane is.
describe('an address in a file, with no API anywhere', { skip }, () => {
  const folder = mkdtempSync('/tmp/cl-');
  const file = join(folder, 'announcements.yaml');
  const macs = new Map<string, string>();
  const machines = new Map<string, Namespace>();
  const speakers = new Map<string, ChildProcess>();
  let segment: Segment;
  let client: Namespace;
  const write = (text: string): void => writeFileSync(file, text);
  const good = (addresses: readonly string[]): string =>
    [
      'announcements:',
      ...addresses.map((address) => `  - {address: ${address}, candidates: [cp-1, cp-2]}`),
      'members:',
      '  - {name: cp-1, address: 192.0.2.11}',
      '  - {name: cp-2, address: 192.0.2.12}',
      '',
    ].join('\n');
  const answering = (address = vip): string[] =>
    arpAnswers(client, address).map((mac) => [...macs].find(([, one]) => one === mac)?.[0] ?? mac);
  const start = (name: string, address: string): void => {
    // As the DaemonSet has it: of root's powers one is left.
    const powers = ['--inh-caps=-all', '--bounding-set=-all,+net_raw'];
    const args = ['loadbalancer', 'speaker', '--node-name', name, '--node-address', address];
    const machine = machines.get(name) as Namespace;
    const speaker = machine.start('setpriv', ...powers, cloudless, ...args, '--announcements', file);
    speakers.set(name, speaker);
  };

  before(async () => {
    segment = await Segment.make();
    client = await newNamespace();
    segment.connect(client, '192.0.2.50/24');
    write(good([vip]));
    for (const [name, address] of [
      ['cp-1', '192.0.2.11'],
      ['cp-2', '192.0.2.12'],
    ] as const) {
      machines.set(name, await newNamespace());
      macs.set(name, segment.connect(machines.get(name), `${address}/24`));
      start(name, address);
    }
  });
  after(() => {
    for (const one of [...machines.values(), client, segment]) one?.close();
    rmSync(folder, { recursive: true });
  });

  it('is answered for by one of its candidates, with CAP_NET_RAW and nothing else of root', async () => {
    // Both, each before it heard of the other, and then one of them.
    await eventually('one owner', async () => answering().length === 1);
    assert.equal(answering().length, 1);
  });

  it('a broken file changes nothing; a good one again does', async () => {
    write('announcements: [{address: 192.0.2');
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(answering().length, 1);
    write(good([vip, '192.0.2.101']));
    await eventually('the second address', async () => answering('192.0.2.101').length === 1);
  });

  it('its owner dies, and the other takes over', async () => {
    const [owner = ''] = answering();
    const other = owner === 'cp-1' ? 'cp-2' : 'cp-1';
    speakers.get(owner)?.kill('SIGKILL');
    await eventually('the other', async () => answering().join() === other);
  });

  it('SIGTERM withdraws', async () => {
    for (const speaker of speakers.values()) speaker.kill('SIGTERM');
    await eventually('nobody', async () => answering().length === 0);
  });
});
