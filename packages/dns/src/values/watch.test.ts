import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import type { ExternalDnsConfig } from '../external/config.ts';
import type { ConfigSource } from '../external/external-dns.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import { type ConfigWatch, watchConfig } from './watch.ts';

const folder = mkdtempSync(join(tmpdir(), 'dns-values-'));
const namespace = 'cloudless-dns';
const stops: Array<() => Promise<void>> = [];
after(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A watch and what it told, in order; `next` waits for more. */
function watched(source: ConfigSource, cluster?: FakeCluster) {
  const configs: ExternalDnsConfig[] = [];
  const problems: Array<readonly ZoneProblem[]> = [];
  let wake: () => void = () => undefined;
  const watch: ConfigWatch = watchConfig({
    source,
    client: cluster?.client,
    namespace,
    clock: systemClock,
    log: logger('test').child({}, { level: 'silent' }),
    onConfig: (config) => {
      configs.push(config);
      wake();
    },
    onProblems: (now) => {
      problems.push(now);
      wake();
    },
  });
  stops.push(() => watch.stop());
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { watch, configs, problems, until, origins: () => configs.at(-1)?.zones.map((zone) => zone.origin) };
}

describe('a configuration', () => {
  it('from a values file follows the file, and outlasts mistakes in it', async () => {
    const path = join(folder, 'values.yaml');
    writeFileSync(path, 'zones:\n  a.test: x\n');
    const { watch, configs, problems, until, origins } = watched({ from: 'values', path });
    assert.deepEqual((await watch.first).zones.length, 1);
    writeFileSync(path, 'zones:\n  a.test: x\n  b..test: y\n');
    await until(() => problems.length === 1);
    assert.match(problems[0]?.[0]?.message ?? '', /"b\.\.test" is no name of a zone/);
    assert.equal(configs.length, 1);
    writeFileSync(`${path}.new`, 'zones:\n  a.test: x\n  b.test: y\n');
    renameSync(`${path}.new`, path);
    await until(() => configs.length === 2);
    assert.deepEqual(origins(), ['a.test', 'b.test']);
    assert.deepEqual(problems.at(-1), []);
  });

  it('from a folder has a zone for each file, parts for $INCLUDE, and leaves the rest alone', async () => {
    const path = join(folder, 'zones');
    mkdirSync(join(path, 'sub.test'), { recursive: true });
    for (const name of ['a.test.zone', 'B.test', 'soa.inc', 'README.md', 'a.test~', '.hidden.test', 'README'])
      writeFileSync(join(path, name), name);
    const { watch, until, origins, configs } = watched({ from: 'zones', path });
    const { zones } = await watch.first;
    assert.deepEqual(
      zones.map(({ origin, text, place }) => [origin, text, place]),
      [
        ['b.test', 'B.test', { source: join(path, 'B.test'), line: 1 }],
        ['a.test', 'a.test.zone', { source: join(path, 'a.test.zone'), line: 1 }],
      ],
    );
    assert.equal(zones[0]?.includes?.get('soa.inc')?.text, 'soa.inc');
    rmSync(join(path, 'B.test'));
    await until(() => configs.length === 2);
    assert.deepEqual(origins(), ['a.test']);
  });

  it('from a file that is not there is waited for, and that is said', async () => {
    const path = join(folder, 'late.yaml');
    const { watch, problems } = watched({ from: 'values', path });
    assert.match(problems[0]?.[0]?.message ?? '', /^cannot read it: ENOENT/);
    writeFileSync(path, '{}');
    assert.deepEqual((await watch.first).zones, []);
  });

  it('from the cluster is made of values, zones and secrets as they come and go', async () => {
    const cluster = new FakeCluster();
    const { watch, until, origins, configs, problems } = watched({ from: 'cluster' }, cluster);
    assert.deepEqual((await watch.first).zones, []);
    const configMap = (name: string, data: Record<string, string>, labels?: Record<string, string>) => ({
      metadata: { name, namespace, labels },
      data,
    });
    const isZones = { 'dns.cloudless.dev/zones': 'true' };
    await cluster.client.create(
      core.configmaps,
      configMap('values', { 'values.yaml': 'pdns: {apiKeySecret: {name: mine}}\nzones: {a.test: mine}' }),
    );
    await cluster.client.create(core.configmaps, configMap('others', { 'c.test': 'x' }));
    await cluster.client.create(
      core.configmaps,
      configMap('more', { 'a.test': 'theirs', 'b.test': 'x', 'soa.inc': 'y' }, isZones),
    );
    await until(() => origins()?.length === 2);
    assert.deepEqual(origins(), ['a.test', 'b.test']);
    assert.equal(configs.at(-1)?.zones[0]?.text, 'mine');
    assert.deepEqual(
      problems.at(-1)?.map(({ message, place }) => [place?.source, message]),
      [
        [
          'ConfigMap cloudless-dns/more key a.test',
          'the zone a.test is in ConfigMap cloudless-dns/values key values.yaml already, which counts: remove one of them',
        ],
      ],
    );
    assert.equal(configs.at(-1)?.api, undefined);

    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    await cluster.client.create(core.secrets, {
      metadata: { name: 'mine', namespace },
      data: { 'api-key': base64('hunter2\n') },
    });
    await cluster.client.create(core.secrets, {
      metadata: { name: 'tsig-keys', namespace },
      data: { xfer: base64('hmac-sha256:c2VjcmV0'), bad: base64('hunter2') },
    });
    await until(() => configs.at(-1)?.tsigKeys.length === 1);
    assert.deepEqual(configs.at(-1)?.api, { key: 'hunter2' });
    assert.equal(problems.at(-1)?.[0]?.place?.source, 'Secret cloudless-dns/tsig-keys key bad');
    assert.doesNotMatch(JSON.stringify(problems), /hunter2/);

    await cluster.client.delete(core.configmaps, 'more', { namespace });
    await until(() => origins()?.length === 1);
    const before = configs.length;
    cluster.change(core.configmaps, 'values', namespace, (copy) => {
      copy.data = { 'values.yaml': 'zonse: {}' };
    });
    await until(
      () => problems.at(-1)?.some(({ message }) => message.includes("did you mean 'zones'")) === true,
    );
    assert.equal(configs.length, before);
  });
});
