import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { catalogue, groupVersions, preferredVersion, resourceOf, resourceOfKind } from './catalogue.ts';
import {
  type StructSchema,
  type TypeSchema,
  knownKinds,
  schemaOf,
  schemaOfObject,
  structOf,
} from './schema.ts';

const facts = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../data/kubernetes-1.36/${name}.json`, import.meta.url), 'utf8')) as T;

const pod = schemaOf({ group: '', version: 'v1', kind: 'Pod' }) as StructSchema;
const structAt = (struct: StructSchema, ...path: string[]): StructSchema => {
  let at = struct;
  for (const name of path) {
    let type = at.field(name)?.type as TypeSchema;
    if (type.kind === 'list') type = type.items;
    assert.equal(type.kind, 'struct', name);
    at = type.kind === 'struct' ? type.struct : at;
  }
  return at;
};

describe('schemaOf', () => {
  it('knows every property of the OpenAPI definitions, and its list and patch rules', () => {
    type Property = Record<string, unknown>;
    const definitions =
      facts<Record<string, { properties?: Record<string, Property>; required?: string[] }>>('definitions');
    let seen = 0;
    for (const [name, definition] of Object.entries(definitions)) {
      if (!definition.properties || name.includes('.pkg.version.')) continue;
      const short = name.split('.').slice(-3).join('.');
      const struct = structOf(short);
      assert.deepEqual([...struct.fields.keys()].sort(), Object.keys(definition.properties).sort(), name);
      for (const [field, property] of Object.entries(definition.properties)) {
        const schema = struct.field(field);
        assert.equal(schema?.listType, property['x-kubernetes-list-type']);
        assert.deepEqual(schema?.listMapKeys, property['x-kubernetes-list-map-keys'] ?? []);
        assert.equal(schema?.patchMergeKey, property['x-kubernetes-patch-merge-key']);
        assert.equal(schema?.patchStrategy.join(',') || undefined, property['x-kubernetes-patch-strategy']);
        assert.equal(schema?.required, definition.required?.includes(field) ?? false);
        seen++;
      }
    }
    assert.ok(seen > 3000, `${seen} fields`);
  });

  it('says what a field is', () => {
    const spec = structAt(pod, 'spec');
    const containers = spec.field('containers');
    assert.equal(containers?.type.goType, '[]v1.Container');
    assert.deepEqual(containers?.patchStrategy, ['merge']);
    assert.equal(containers?.patchMergeKey, 'name');
    assert.deepEqual(containers?.listMapKeys, ['name']);
    assert.equal(containers?.required, true);
    assert.deepEqual(spec.field('volumes')?.patchStrategy, ['merge', 'retainKeys']);
    const port = structAt(spec, 'containers', 'ports');
    assert.equal(port.field('protocol')?.default, 'TCP');
    const protocol = port.field('protocol')?.type;
    assert.ok(protocol?.kind === 'string' && protocol.enum?.includes('SCTP'));
    assert.equal(spec.field('terminationGracePeriodSeconds')?.pointer, true);
    assert.equal(spec.field('restartPolicy')?.pointer, false);
    assert.equal(structOf('core.v1.ObjectReference').atomic, true);
  });

  it('shows embedded structs in place, with the way to them on the wire', () => {
    const volume = structAt(pod, 'spec', 'volumes');
    assert.deepEqual(volume.field('emptyDir')?.via, [[2, 'VolumeSource']]);
    assert.equal(volume.field('name')?.via.length, 0);
  });

  it('finds kinds by group and version, lists and common kinds too, and no others', () => {
    assert.equal(
      schemaOfObject({ apiVersion: 'apps/v1', kind: 'DeploymentList' })?.name,
      'apps.v1.DeploymentList',
    );
    assert.equal(schemaOfObject({ apiVersion: 'v1', kind: 'Status' })?.name, 'meta.v1.Status');
    assert.equal(
      schemaOfObject({ apiVersion: 'policy/v1', kind: 'DeleteOptions' })?.name,
      'meta.v1.DeleteOptions',
    );
    assert.equal(schemaOfObject({ apiVersion: 'meta.k8s.io/v1', kind: 'Table' })?.name, 'meta.v1.Table');
    assert.equal(schemaOfObject({ apiVersion: 'v1', kind: 'List' })?.name, 'core.v1.List');
    assert.equal(schemaOfObject({ apiVersion: 'example.com/v1', kind: 'Pod' }), undefined);
    assert.equal(schemaOfObject({ apiVersion: 'example.com/v1', kind: 'Status' }), undefined);
    assert.equal(schemaOfObject({}), undefined);
  });

  it('unfolds every struct', () => {
    const seen = new Set<StructSchema>();
    const visit = (type: TypeSchema): void => {
      if (type.kind === 'list') visit(type.items);
      else if (type.kind === 'map') visit(type.values);
      else if (type.kind === 'struct' && !seen.has(type.struct)) {
        seen.add(type.struct);
        for (const field of type.struct.fields.values()) visit(field.type);
      }
    };
    for (const kind of knownKinds()) {
      const struct = schemaOf(kind) as StructSchema;
      seen.add(struct);
      for (const field of struct.fields.values()) visit(field.type);
    }
    assert.ok(seen.size > 600, `${seen.size} structs`);
  });
});

describe('catalogue', () => {
  it('orders groups and versions as kube-apiserver does', () => {
    assert.deepEqual(
      groupVersions
        .filter(({ served }) => served)
        .slice(0, 8)
        .map(({ apiVersion }) => apiVersion),
      [
        'v1',
        'apiregistration.k8s.io/v1',
        'apps/v1',
        'events.k8s.io/v1',
        'authentication.k8s.io/v1',
        'authorization.k8s.io/v1',
        'autoscaling/v2',
        'autoscaling/v1',
      ],
    );
    assert.equal(preferredVersion('autoscaling'), 'v2');
    assert.equal(preferredVersion('internal.apiserver.k8s.io'), undefined);
  });

  it('has the names that people type', () => {
    const deployment = resourceOf('apps', 'v1', 'deployments');
    assert.deepEqual(deployment?.shortNames, ['deploy']);
    assert.deepEqual(deployment?.categories, ['all']);
    assert.equal(deployment?.singular, 'deployment');
    const scale = deployment?.subresources.find(({ name }) => name === 'scale');
    assert.deepEqual([scale?.group, scale?.version, scale?.kind], ['autoscaling', 'v1', 'Scale']);
    assert.deepEqual(
      resourceOfKind('', 'v1', 'Pod')?.subresources.map(({ name }) => name),
      [
        'attach',
        'binding',
        'ephemeralcontainers',
        'eviction',
        'exec',
        'log',
        'portforward',
        'proxy',
        'resize',
        'status',
      ],
    );
  });

  it('knows what each resource is stored as', () => {
    assert.deepEqual(resourceOf('events.k8s.io', 'v1', 'events')?.storage, { group: '', version: 'v1' });
    assert.deepEqual(resourceOf('autoscaling', 'v1', 'horizontalpodautoscalers')?.storage, {
      group: 'autoscaling',
      version: 'v2',
    });
    assert.equal(resourceOf('authorization.k8s.io', 'v1', 'subjectaccessreviews')?.storage, undefined);
    for (const { storage, kind } of catalogue)
      if (storage) assert.ok(schemaOf({ ...storage, kind }), `${kind} ${storage.version}`);
  });

  it('has all resources of the paths, and types for their bodies', () => {
    const paths =
      facts<
        Record<
          string,
          { group: string; version: string; plural: string; kind: string; subresource: string | null }
        >
      >('resources');
    for (const { group, version, plural, kind, subresource } of Object.values(paths)) {
      if (kind === 'APIGroup' || subresource !== null) continue;
      assert.equal(resourceOf(group, version, plural)?.kind, kind, `${group}/${version}/${plural}`);
    }
    for (const fact of catalogue) {
      assert.ok(schemaOf(fact), `${fact.group}/${fact.version} ${fact.kind}`);
      for (const sub of fact.subresources)
        if (!sub.kind.endsWith('Options')) assert.ok(schemaOf(sub), `${fact.plural}/${sub.name} ${sub.kind}`);
    }
  });
});
