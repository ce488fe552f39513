import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { AnnouncementTable } from '../announcement.ts';
import { metallb } from '../config/kinds.ts';
import { excludeLabel } from './announcements.ts';
import { type Speaker, type SpeakerOptions, startSpeaker } from './start.ts';
import {
  bgpAdvertisement,
  configuration,
  labelled,
  node,
  peer,
  pool,
  service,
  slice,
} from './testing/objects.ts';
import { FakeParts } from './testing/parts.ts';

const log = logger('speaker').child({}, { level: 'silent' });
const namespace = 'metallb-system';

async function eventually(what: string, check: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!check()) {
    if (performance.now() > endMs) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const memberNames = (parts: FakeParts): string[] | undefined =>
  parts.layer2Started?.members.map(({ name }) => name);

describe('a speaker', () => {
  const speakers: Speaker[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-speaker-'));
  after(() => rmSync(folder, { recursive: true }));
  afterEach(async () => {
    for (const speaker of speakers.splice(0)) await speaker.stop();
  });

  async function start(parts: FakeParts, over: Partial<SpeakerOptions> = {}): Promise<Speaker> {
    const speaker = await startSpeaker({
      nodeName: 'n1',
      nodeAddress: '192.0.2.1',
      log,
      parts,
      ...over,
    });
    speakers.push(speaker);
    return speaker;
  }

  function cluster(labels: Record<string, string> = {}): FakeCluster {
    const api = new FakeCluster();
    api.seed(core.nodes, node('n1', labels, '192.0.2.1'), node('n2', labels, '192.0.2.2'));
    api.seed(core.services, service('web'));
    api.seed(discovery.endpointslices, slice('web', ['n1']));
    api.seed(core.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'memberlist', namespace },
      data: { secretkey: Buffer.from('a key that all of them have').toString('base64') },
    });
    return api;
  }

  const reasons = (api: FakeCluster): string[] =>
    api.objects(core.events).map((event) => event['reason'] as string);

  it('announces a Service, and says so in an Event, a ServiceL2Status and the metrics', async () => {
    const api = cluster();
    const parts = new FakeParts(configuration());
    const speaker = await start(parts, { client: api.client });
    await speaker.ready;
    await eventually('status', () => api.objects(metallb.serviceL2Statuses)[0]?.['status'] !== undefined);
    const [object] = api.objects(metallb.serviceL2Statuses);
    assert.deepEqual(object?.['status'], { node: 'n1', serviceName: 'web', serviceNamespace: 'default' });
    assert.deepEqual(object?.metadata.labels, {
      'metallb.io/node': 'n1',
      'metallb.io/service-name': 'web',
      'metallb.io/service-namespace': 'default',
    });
    assert.equal(object?.metadata.ownerReferences?.[0]?.kind, 'Node');
    await eventually('the Event', () => reasons(api).includes('nodeAssigned'));
    const [event] = api.objects(core.events);
    assert.equal(event?.['message'], 'announcing from node "n1" with protocol "layer2"');
    assert.match(
      speaker.metrics(),
      /^metallb_speaker_announced\{service="default\/web",protocol="layer2",node="n1",ip="192\.0\.2\.9"\} 1$/m,
    );
    assert.match(speaker.metrics(), /^metallb_layer2_gratuitous_sent/m);
    const status = speaker.status();
    assert.equal(status.addresses[0]?.owner, 'n1');
    assert.deepEqual(status.addresses[0]?.sources, [{ kind: 'service', name: 'default/web' }]);
    assert.deepEqual(status.services[0]?.layer2.candidates, ['n1', 'n2']);
  });

  it('joins the other nodes with MetalLB’s key before it announces anything', async () => {
    const api = cluster();
    api.remove(core.secrets, 'memberlist', namespace);
    const parts = new FakeParts(configuration());
    await start(parts, { client: api.client });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(memberNames(parts), undefined);
    api.seed(core.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'memberlist', namespace },
      data: { secretkey: Buffer.from('k'.repeat(40)).toString('base64') },
    });
    await eventually('gossip', () => parts.gossipStarted !== undefined);
    assert.equal(Buffer.from(parts.gossipStarted?.options.key as Uint8Array).toString(), 'k'.repeat(32));
    await eventually(
      'the other node was asked',
      () => parts.gossipStarted?.joined.includes('192.0.2.2') ?? false,
    );
    await eventually('announced', () => parts.layer2Started?.plans.length === 1);
    parts.gossipStarted?.set({ name: 'n2', address: '192.0.2.2', port: 7946, state: 'suspect' });
    assert.deepEqual(memberNames(parts), ['n1', 'n2']);
    parts.gossipStarted?.set({ name: 'n2', address: '192.0.2.2', port: 7946, state: 'dead' });
    assert.deepEqual(memberNames(parts), ['n1']);
  });

  it('when the owner falls silent: an Event tells the failover, and its status object goes', async () => {
    const api = cluster();
    const old = {
      apiVersion: 'metallb.io/v1beta1',
      kind: 'ServiceL2Status',
      metadata: {
        name: 'l2-of-n2',
        namespace,
        labels: {
          'metallb.io/node': 'n2',
          'metallb.io/service-name': 'web',
          'metallb.io/service-namespace': 'default',
        },
      },
    };
    const parts = new FakeParts(configuration());
    await start(parts, { client: api.client });
    await eventually('announced', () => parts.layer2Started?.plans.length === 1);
    parts.layer2Started?.change('192.0.2.9', { owner: 'n2' });
    await eventually('not its own any more', () => api.objects(metallb.serviceL2Statuses).length === 0);
    api.seed(metallb.serviceL2Statuses, old);
    parts.layer2Started?.change('192.0.2.9', { owner: 'n1', others: [{ node: 'n2', why: 'silent' }] });
    await eventually('failover', () => reasons(api).includes('failover'));
    const event = api.objects(core.events).find((one) => one['reason'] === 'failover');
    assert.equal(event?.['message'], '192.0.2.9 moved to node "n1" from node "n2", which is silent');
    await eventually('one object', () => {
      const names = api
        .objects(metallb.serviceL2Statuses)
        .map(({ metadata }) => metadata.labels?.['metallb.io/node']);
      return names.join() === 'n1';
    });
  });

  it('the exclude label on every node: announced all the same, with an Event', async () => {
    const api = cluster({ [excludeLabel]: '' });
    const parts = new FakeParts(configuration());
    await start(parts, { client: api.client });
    await eventually('Event', () => reasons(api).includes('excludeLabelOverruled'));
    await eventually('announced', () => reasons(api).includes('nodeAssigned'));
    const event = api.objects(core.events).find((one) => one['reason'] === 'excludeLabelOverruled');
    assert.match(String(event?.['message']), /has the label node\.kubernetes\.io\/exclude-from-external/);
  });

  it('when strict: silence, an Event and the status name the label', async () => {
    const api = cluster({ [excludeLabel]: '' });
    const parts = new FakeParts(configuration());
    const speaker = await start(parts, { client: api.client, strictExclude: true });
    await eventually('Event', () => reasons(api).includes('notAnnounced'));
    const [event] = api.objects(core.events);
    assert.match(String(event?.['message']), /has the label node\.kubernetes\.io\/exclude-from-external/);
    assert.equal(speaker.status().services[0]?.layer2.silence, 'excluded-by-label');
    assert.deepEqual(speaker.status().services[0]?.layer2.others[0], {
      node: 'n1',
      why: 'excluded-by-label',
    });
    assert.equal(parts.layer2Started, undefined, 'nothing was ever planned');
    // The label goes: announced, with no restart.
    for (const name of ['n1', 'n2'])
      api.change(core.nodes, name, undefined, ({ metadata }) => delete metadata.labels?.[excludeLabel]);
    await eventually('announced', () => reasons(api).includes('nodeAssigned'));
  });

  it('the API goes away: what was announced stays, and the end of a Service is heard afterwards', async () => {
    const api = cluster();
    const parts = new FakeParts(configuration());
    await start(parts, { client: api.client });
    await eventually('announced', () => parts.layer2Started?.plans.length === 1);
    const back = api.intercept(() => errors.unavailable('gone'));
    parts.layer2Started?.change('192.0.2.9', { owner: 'n2' });
    parts.layer2Started?.change('192.0.2.9', { owner: 'n1' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(parts.layer2Started?.plans.length, 1);
    back();
    api.remove(core.services, 'web', 'default');
    await eventually('withdrawn', () => parts.layer2Started?.plans.length === 0);
    await eventually('no object', () => api.objects(metallb.serviceL2Statuses).length === 0);
  });

  it('a session for each peer that is for this node; routes once all is known; a ServiceBGPStatus', async () => {
    const api = cluster();
    const config = (peers: Parameters<typeof configuration>[1]) =>
      configuration([pool({ l2Advertisements: [], bgpAdvertisements: [bgpAdvertisement()] })], peers);
    const parts = new FakeParts(
      config([peer(), peer({ name: 'far', nodeSelectors: [labelled('kubernetes.io/hostname', 'n2')] })]),
    );
    const speaker = await start(parts, { client: api.client });
    await eventually('routes', () => parts.sessions[0]?.routes?.length === 1);
    assert.deepEqual(
      parts.sessions.map((session) => session.peer.name),
      ['router'],
    );
    await eventually('status', () => api.objects(metallb.serviceBgpStatuses)[0]?.['status'] !== undefined);
    assert.match(JSON.stringify(api.objects(metallb.serviceBgpStatuses)[0]), /"peers":\["router"\]/);
    assert.match(speaker.metrics(), /^metallb_bgp_session_up\{peer="192\.0\.2\.1:179"\} 1$/m);
    assert.match(speaker.metrics(), /^metallb_bfd_control_packet_input\{peer="192\.0\.2\.1"\} 7$/m);
    api.change(discovery.endpointslices, 'web-abcde', 'default', (one) => {
      one.endpoints = [];
    });
    await eventually('withdrawn', () => parts.sessions[0]?.routes?.length === 0);
    await eventually('no object', () => api.objects(metallb.serviceBgpStatuses).length === 0);
    parts.setConfig(config([peer({ holdTimeSeconds: 9 })]));
    await eventually('another session', () => parts.sessions.length === 2);
    assert.equal(parts.sessions[0]?.ended, 'shutdown');
    await speaker.stop();
    assert.equal(parts.sessions[1]?.ended, 'restart');
  });

  it('another part asks for an address through the same table, and withdraws it', async () => {
    const table = new AnnouncementTable();
    const parts = new FakeParts();
    const speaker = await start(parts, { table });
    const source = { kind: 'egress', name: 'team-a' } as const;
    table.set(source, [{ address: '192.0.2.77', candidates: ['n1'], interfaces: ['eth0'] }]);
    await eventually('announced', () => parts.layer2Started?.plans[0]?.address === '192.0.2.77');
    assert.deepEqual(speaker.status().addresses[0]?.sources, [source]);
    table.set(source, []);
    await eventually('withdrawn', () => parts.layer2Started?.plans.length === 0);
  });

  it('a file is announced before credentials are there; the key that comes with them is used at once, and kept', async () => {
    const path = join(folder, 'early.yaml');
    const keyFile = join(folder, 'gossip.key');
    writeFileSync(
      path,
      'announcements: [{address: 192.0.2.100}]\nmembers: [{name: n2, address: 192.0.2.2}]\n',
    );
    const api = cluster();
    const credentials = Promise.withResolvers<typeof api.client>();
    const parts = new FakeParts(configuration());
    const options = { announcementsFile: path, gossip: { keyFile } };
    const speaker = await start(parts, { ...options, client: credentials.promise });
    await eventually('announced', () => parts.layer2Started?.plans.length === 1);
    const early = parts.layer2Started;
    assert.deepEqual(parts.layer2Keys, [undefined]);
    credentials.resolve(api.client);
    await eventually('the Service too', () => parts.layer2Started?.plans.length === 2);
    assert.ok(early?.stopped && parts.layer2Started !== early);
    const [, key] = parts.layer2Keys;
    assert.deepEqual(key, parts.gossipStarted?.options.key);
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    await speaker.stop();
    // The next start has it before the API does.
    const again = new FakeParts();
    await start(again, { ...options, client: new Promise(() => {}) });
    await eventually('gossip', () => again.gossipStarted?.joined.includes('192.0.2.2') ?? false);
    assert.deepEqual(again.gossipStarted?.options.key, Buffer.from(key ?? []));
    await eventually('layer 2', () => again.layer2Keys.length > 0);
    assert.deepEqual(again.layer2Keys, [Buffer.from(key ?? [])]);
  });

  it('with no API anywhere a file is announced; it is watched, and a broken one leaves the last good', async () => {
    const path = join(folder, 'vip.yaml');
    const write = (text: string): void => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    };
    const members = 'members: [{name: n1, address: 192.0.2.1}, {name: n2, address: 192.0.2.2}]';
    write(`announcements: [{address: 192.0.2.100}]\n${members}\n`);
    const parts = new FakeParts();
    const speaker = await start(parts, { announcementsFile: path });
    await speaker.ready;
    await eventually('announced', () => parts.layer2Started?.plans.length === 1);
    assert.deepEqual(memberNames(parts), ['n1', 'n2']);
    assert.equal(parts.gossipStarted, undefined, 'there is no key');
    write('announcements: [{address: 192.0.2.');
    await eventually('said', () => speaker.status().problems.length === 1);
    assert.match(speaker.status().problems[0] ?? '', /vip\.yaml: /);
    assert.equal(parts.layer2Started?.plans.length, 1);
    write(`announcements: [{address: 192.0.2.100}, {address: 192.0.2.101}]\n${members}\n`);
    await eventually('both', () => parts.layer2Started?.plans.length === 2);
    assert.deepEqual(speaker.status().problems, []);
    rmSync(path);
    await eventually('said', () => speaker.status().problems.length === 1);
    assert.equal(parts.layer2Started?.plans.length, 2);
    write('announcements: []');
    await eventually('withdrawn', () => parts.layer2Started?.plans.length === 0);
    await speaker.stop();
    assert.ok(parts.layer2Started?.stopped);
  });
});
