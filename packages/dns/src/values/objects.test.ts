import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { configOf } from './cluster-config.ts';
import { type ValuesObject, valuesObjects, ValuesTooLargeError } from './objects.ts';
import { parseValues } from './parse.ts';
import { withoutSecrets } from './plain-secrets.ts';

const talk = readFileSync(
  join(import.meta.dirname, '../../../../tests/talk/stateless-dns-values.yaml'),
  'utf8',
);

function objects(text: string): ValuesObject[] {
  const parsed = parseValues(text, 'values.yaml');
  assert.ok(!('problems' in parsed), JSON.stringify(parsed));
  return valuesObjects(text, parsed, { namespace: 'cloudless-dns' });
}

const named = (all: ValuesObject[], kind: string, name: string): Record<string, unknown> | undefined =>
  all.find(({ object }) => object.kind === kind && object.metadata.name === name)?.object as
    | Record<string, unknown>
    | undefined;

describe('values as objects', () => {
  it("the talk's become a namespace, a Secret, a ConfigMap without it, and one Service for both transports", () => {
    const all = objects(talk);
    assert.deepEqual(
      all.map(({ object }) => `${object.kind} ${object.metadata.name}`),
      ['Namespace cloudless-dns', 'Secret api-key', 'ConfigMap values', 'Service dns'],
    );
    assert.deepEqual(named(all, 'Secret', 'api-key')?.['data'], {
      'api-key': Buffer.from('hunter2').toString('base64'),
    });
    const data = named(all, 'ConfigMap', 'values')?.['data'] as Record<string, string> | undefined;
    const kept = data?.['values.yaml'];
    assert.equal(kept, talk.replace('hunter2', "''"));
    const service = named(all, 'Service', 'dns') as unknown as {
      metadata: { annotations: Record<string, string> };
      spec: Record<string, unknown>;
    };
    assert.deepEqual(service.metadata.annotations, {
      'external-dns.alpha.kubernetes.io/hostname': 'ns1.nadia.moe,ns2.nadia.moe',
    });
    assert.deepEqual(service.spec, {
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 'dns' },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 'dns-tcp' },
      ],
    });
  });

  it('lead to pods where there are some, the API and metrics among them', () => {
    const text = 'service: {api: {annotations: {a: b}}, externalDNSMetrics: {port: 81}}';
    const parsed = parseValues(text, 'values.yaml');
    assert.ok(!('problems' in parsed));
    const services = (selector?: Record<string, string>): unknown[] =>
      valuesObjects(text, parsed, { namespace: 'x', selector })
        .map(
          ({ object }) =>
            object as { kind?: string; metadata: { name?: string }; spec?: Record<string, unknown> },
        )
        .filter(({ kind }) => kind === 'Service')
        .map(({ metadata, spec }) => [metadata.name, spec?.['type'], spec?.['selector']]);
    const selector = { app: 'dns' };
    assert.deepEqual(services(), [['dns', 'LoadBalancer', undefined]]);
    assert.deepEqual(services(selector), [
      ['dns', 'LoadBalancer', selector],
      ['dns-api', 'ClusterIP', selector],
      ['dns-metrics', 'ClusterIP', selector],
    ]);
  });

  it('mean in the cluster what they mean in the file', () => {
    const text = `${talk}tsigKeys:\n  xfer: hmac-sha256:c2VjcmV0\nengine:\n  name: powerdns\n  url: http://192.0.2.1:8081\n  key: |\n    engine\n    key\n`;
    const here = parseValues(text, 'x');
    assert.ok(!('problems' in here));
    const all = objects(text);
    const of = (kind: string): never[] =>
      all.filter(({ object }) => object.kind === kind).map(({ object }) => object as never);
    const there = configOf({ configMaps: of('ConfigMap'), secrets: of('Secret') });
    assert.deepEqual(there.problems, []);
    const source = 'ConfigMap cloudless-dns/values key values.yaml';
    const plain = (config: unknown): string =>
      JSON.stringify(config, (key, value: unknown) =>
        key === 'source' ? source : value instanceof Map ? [...value] : value,
      );
    // The engine's key has lost its last line end, as every secret.
    assert.equal(plain(there.config), plain(here.config));
  });

  it('are kept without any secret, line for line', () => {
    const text = [
      'pdns:',
      '  apiKeySecret: {valuePlain: hunter2, valueBase64: "aHVudGVyMg=="}',
      'tsigKeys:',
      '  a: "hmac-sha256:aHVudGVyMg=="',
      '  b: |',
      '    hmac-sha256:aHVudGVyMg==',
      '  c: &anchor hmac-sha256:aHVudGVyMg==',
      '  d: *anchor',
      'engine:',
      '  key: >-',
      '    hunter2',
      '  url: http://192.0.2.1',
      'zones:',
      '  a.test: |',
      '    text',
    ].join('\n');
    const kept = withoutSecrets(text);
    assert.doesNotMatch(kept, /hunter2|aHVudGVy/);
    assert.equal(kept.split('\n').length, text.split('\n').length);
    assert.ok(kept.endsWith('zones:\n  a.test: |\n    text'), kept);
    assert.equal(withoutSecrets(kept), kept);
  });

  it('speak of Secrets whose content was moved into them', () => {
    const names = (values: string): readonly string[] => {
      const parsed = parseValues(values, 'values.yaml');
      assert.ok(!('problems' in parsed), JSON.stringify(parsed));
      return parsed.secretNames;
    };
    const text = `${talk}tsigKeys: {k: "hmac-sha256:c2VjcmV0"}\n`;
    assert.deepEqual(names(text), ['api-key', 'tsig-keys']);
    assert.deepEqual(names(withoutSecrets(text)), ['api-key', 'tsig-keys']);
    assert.deepEqual(names('zones: {}'), []);
  });

  it('that are too large for a ConfigMap say what to do', () => {
    const text = `zones:\n  a.test: |\n${'    ; comment\n'.repeat(100_000)}`;
    assert.throws(() => objects(text), ValuesTooLargeError);
  });
});
