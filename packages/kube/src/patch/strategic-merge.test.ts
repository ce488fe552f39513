import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { type StructSchema, schemaOf } from '../schema/schema.ts';
import { createStrategicMergePatch } from './strategic-diff.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';
import type { JsonObject } from '../codec/json-value.ts';
import { clone } from './value.ts';

describe('applyStrategicMergePatch', () => {
  const deployment = schemaOf({ group: 'apps', version: 'v1', kind: 'Deployment' }) as StructSchema;
  const pod = schemaOf({ group: '', version: 'v1', kind: 'Pod' }) as StructSchema;
  const node = schemaOf({ group: '', version: 'v1', kind: 'Node' }) as StructSchema;
  const service = schemaOf({ group: '', version: 'v1', kind: 'Service' }) as StructSchema;

  // The cases that Kubernetes documents: "Update API Objects in Place Using kubectl patch" and the design
  // documents of strategic merge patch.
  const cases: Array<[string, StructSchema, JsonObject, JsonObject, JsonObject]> = [
    [
      'merges containers by name, the new one first',
      deployment,
      { spec: { template: { spec: { containers: [{ name: 'a', image: '1' }] } } } },
      {
        spec: {
          template: {
            spec: {
              containers: [
                { name: 'b', image: '2' },
                { name: 'a', tty: true },
              ],
            },
          },
        },
      },
      {
        spec: {
          template: {
            spec: {
              containers: [
                { name: 'b', image: '2' },
                { name: 'a', image: '1', tty: true },
              ],
            },
          },
        },
      },
    ],
    [
      'replaces tolerations, which have no merge key',
      pod,
      { spec: { tolerations: [{ key: 'a' }, { key: 'b' }] } },
      { spec: { tolerations: [{ key: 'c' }] } },
      { spec: { tolerations: [{ key: 'c' }] } },
    ],
    [
      'keeps only the retained members of a strategy',
      deployment,
      { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
      { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
      { spec: { strategy: { type: 'Recreate' } } },
    ],
    [
      'deletes an element',
      pod,
      { spec: { containers: [{ name: 'a' }, { name: 'b' }] } },
      { spec: { containers: [{ $patch: 'delete', name: 'a' }] } },
      { spec: { containers: [{ name: 'b' }] } },
    ],
    [
      'replaces a whole list',
      pod,
      { spec: { containers: [{ name: 'a' }, { name: 'b' }] } },
      { spec: { containers: [{ name: 'c' }, { $patch: 'replace' }] } },
      { spec: { containers: [{ name: 'c' }] } },
    ],
    [
      'replaces and deletes maps',
      pod,
      { metadata: { labels: { a: '1', b: '2' } }, spec: { nodeSelector: { a: '1' } } },
      { metadata: { labels: { $patch: 'replace', c: '3' } }, spec: { nodeSelector: { $patch: 'delete' } } },
      { metadata: { labels: { c: '3' } }, spec: { nodeSelector: {} } },
    ],
    [
      'adds to and deletes from a list of strings',
      pod,
      { metadata: { finalizers: ['a', 'b', 'c'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['b'], finalizers: ['d'] } },
      { metadata: { finalizers: ['d', 'a', 'c'] } },
    ],
    [
      'orders as asked, with what only the server has where it was',
      pod,
      { spec: { containers: [{ name: 'a' }, { name: 'server' }, { name: 'b' }, { name: 'c' }] } },
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }],
          containers: [{ name: 'b', image: 'x' }],
        },
      },
      { spec: { containers: [{ name: 'server' }, { name: 'c' }, { name: 'b', image: 'x' }, { name: 'a' }] } },
    ],
    [
      'merges conditions by type and ports by port',
      node,
      {
        status: {
          conditions: [{ type: 'Ready', status: 'False' }],
          addresses: [{ type: 'InternalIP', address: '1' }],
        },
      },
      {
        status: {
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'DiskPressure', status: 'False' },
          ],
        },
      },
      {
        status: {
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'DiskPressure', status: 'False' },
          ],
          addresses: [{ type: 'InternalIP', address: '1' }],
        },
      },
    ],
    [
      'finds a port by its number',
      service,
      { spec: { ports: [{ port: 80, name: 'web' }, { port: 443 }] } },
      { spec: { ports: [{ port: 443, name: 'tls' }] } },
      {
        spec: {
          ports: [
            { port: 80, name: 'web' },
            { port: 443, name: 'tls' },
          ],
        },
      },
    ],
    [
      'deletes members with null',
      pod,
      { metadata: { labels: { a: '1', b: '2' } } },
      { metadata: { labels: { a: null, x: null } } },
      { metadata: { labels: { b: '2' } } },
    ],
  ];
  for (const [name, struct, object, patch, result] of cases)
    it(name, () => assert.deepEqual(applyStrategicMergePatch(struct, object, patch), result));

  const wrong: Array<[string, JsonObject, RegExp]> = [
    [
      'an element without its merge key',
      { spec: { containers: [{ image: 'x' }] } },
      /^map: map\[image:x\] does not contain declared merge key: name$/,
    ],
    [
      'an unknown directive',
      { spec: { $patch: 'burn' } },
      /^unknown patch type: burn in map: map\[\$patch:burn\]$/,
    ],
    [
      'a member that retainKeys forgets',
      { spec: { $retainKeys: ['x'], hostname: 'h' } },
      /^invalid patch format of retainKeys$/,
    ],
    [
      'an order that the patch contradicts',
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }],
          containers: [{ name: 'a' }, { name: 'b' }],
        },
      },
      /doesn't match \$setElementOrder list/,
    ],
    ['mixed elements', { metadata: { finalizers: ['a', 1] } }, /^list element types are not identical/],
  ];
  for (const [name, patch, message] of wrong)
    it(`refuses ${name}`, () => {
      const object = { metadata: { finalizers: ['x'] }, spec: { containers: [{ name: 'a' }] } };
      assert.throws(() => applyStrategicMergePatch(pod, object, patch), {
        name: 'StrategicPatchError',
        message,
      });
    });

  it('undoes createStrategicMergePatch', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const list = <T>(element: fc.Arbitrary<T>, key: (item: T) => unknown): fc.Arbitrary<T[]> =>
      fc.uniqueArray(element, { selector: key, maxLength: 4 });
    const env = fc.record(
      { name, value: fc.constantFrom('1', '2') },
      { requiredKeys: ['name'], noNullPrototype: true },
    );
    const port = fc.record(
      { containerPort: fc.integer({ min: 1, max: 4 }), protocol: fc.constantFrom('TCP', 'UDP') },
      { noNullPrototype: true },
    );
    const container = fc.record(
      {
        name,
        image: name,
        env: list(env, (item) => item.name),
        args: fc.array(name),
        ports: list(port, (item) => item.containerPort),
      },
      { requiredKeys: ['name'], noNullPrototype: true },
    );
    const volume = fc.record(
      { name, emptyDir: fc.constant({}), hostPath: fc.record({ path: name }, { noNullPrototype: true }) },
      { requiredKeys: ['name'], noNullPrototype: true },
    );
    const object = fc.record(
      {
        metadata: fc.record(
          {
            labels: fc.dictionary(name, name, { noNullPrototype: true }),
            finalizers: list(name, (item) => item),
          },
          { requiredKeys: [], noNullPrototype: true },
        ),
        spec: fc.record(
          {
            containers: list(container, (item) => item.name),
            volumes: list(volume, (item) => item.name),
            tolerations: fc.array(env),
            hostNetwork: fc.boolean(),
          },
          { requiredKeys: [], noNullPrototype: true },
        ),
      },
      { noNullPrototype: true },
    ) as unknown as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(object, object, (a, b) => {
        const patch = createStrategicMergePatch(pod, a, b);
        assert.deepEqual(applyStrategicMergePatch(pod, a, patch), b);
        assert.deepEqual(createStrategicMergePatch(pod, b, clone(b)), {});
      }),
      { numRuns: 500 },
    );
  });
});
