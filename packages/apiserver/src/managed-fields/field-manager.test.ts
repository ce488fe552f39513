import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { StatusError } from '@cloudless/kube/status';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { Catalogue } from '../registry/catalogue.ts';
import { deepFreeze } from '../storage/codec.ts';
import { FieldManagers } from './field-managers.ts';
import { managerOfUserAgent } from './identity.ts';

const catalogue = new Catalogue();

/** Field managers of ConfigMaps over a clock that is set by hand. */
function configMaps() {
  let second = 0;
  const managers = new FieldManagers(
    catalogue,
    () => new Date(second * 1000).toISOString().slice(0, 19) + 'Z',
  );
  const served = catalogue.find('', 'v1', 'configmaps');
  assert.ok(served);
  return { manager: managers.of(served, ''), at: (now: number): void => void (second = now) };
}

const configMap = (data: Record<string, string>, managedFields?: ManagedFieldsEntry[]): KubeObject =>
  deepFreeze({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', uid: 'u', ...(managedFields ? { managedFields } : {}) },
    data,
  });

const shown = (entries: readonly ManagedFieldsEntry[] | undefined): string[] =>
  (entries ?? []).map(({ manager, operation, time }) => `${manager} ${operation} ${time?.slice(11, 19)}`);

describe('a field manager', () => {
  it('lists appliers first, each kind by time, then by name', () => {
    const { manager, at } = configMaps();
    at(5);
    let entries = manager.update(undefined, configMap({ a: '1' }), 'zeta');
    at(3);
    entries = manager.update(configMap({ a: '1' }, entries), configMap({ a: '1', b: '2' }, entries), 'beta');
    entries = manager.update(
      configMap({ a: '1', b: '2' }, entries),
      configMap({ a: '1', b: '2', c: '3' }, entries),
      'alpha',
    );
    at(9);
    const live = configMap({ a: '1', b: '2', c: '3' }, entries);
    const patch = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { d: '4' } };
    const applied = manager.apply(live, patch, 'late', false);
    assert.deepEqual(shown(applied.managedFields), [
      'late Apply 00:00:09',
      'alpha Update 00:00:03',
      'beta Update 00:00:03',
      'zeta Update 00:00:05',
    ]);
  });

  it('keeps the very list where nothing changes, and entries that do not', () => {
    const { manager, at } = configMaps();
    const first = manager.update(undefined, configMap({ a: '1' }), 'one');
    const live = configMap({ a: '1' }, first);
    at(60);
    assert.equal(manager.update(live, configMap({ a: '1' }, first), 'two'), first);
    assert.equal(manager.update(live, configMap({ a: '1' }), 'two'), first);
    const second = manager.update(live, configMap({ a: '1', b: '2' }), 'two');
    assert.equal(
      second?.find((entry) => entry.manager === 'one'),
      first?.[0],
    );
  });

  it('merges the oldest updaters when there are more than ten', () => {
    const { manager, at } = configMaps();
    let data: Record<string, string> = {};
    let entries: ManagedFieldsEntry[] | undefined;
    for (let i = 0; i < 13; i++) {
      at(i);
      const before = i === 0 ? undefined : configMap(data, entries);
      data = { ...data, [`key${i}`]: 'x' };
      entries = manager.update(before, configMap(data), `manager-${i}`);
    }
    assert.equal(entries?.length, 10);
    const [ancient] = entries ?? [];
    assert.equal(ancient?.manager, 'ancient-changes');
    assert.equal(ancient?.time, '1970-01-01T00:00:03Z');
    assert.deepEqual(Object.keys((ancient?.fieldsV1 as { 'f:data': object } | undefined)?.['f:data'] ?? {}), [
      '.',
      'f:key0',
      'f:key1',
      'f:key2',
      'f:key3',
    ]);
  });

  it('leaves objects from before tracking alone until somebody applies them', () => {
    const { manager } = configMaps();
    assert.equal(manager.update(configMap({ a: '1' }), configMap({ a: '2' }), 'one'), undefined);
    const patch = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { b: '2' } };
    const applied = manager.apply(configMap({ a: '1' }), patch, 'two', false);
    assert.deepEqual(
      applied.managedFields?.map((entry) => entry.manager),
      ['two', 'before-first-apply'],
    );
  });

  it('refuses with every conflict as a cause', () => {
    const { manager } = configMaps();
    const live = configMap(
      { a: '1', b: '2' },
      manager.update(undefined, configMap({ a: '1', b: '2' }), 'one'),
    );
    const patch = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { a: 'x', b: 'y' } };
    assert.throws(
      () => manager.apply(live, patch, 'two', false),
      (error: unknown) => {
        assert.ok(error instanceof StatusError);
        assert.equal(error.code, 409);
        assert.deepEqual(error.details, {
          causes: ['a', 'b'].map((key) => ({
            reason: 'FieldManagerConflict',
            message: 'conflict with "one" using v1',
            field: `.data.${key}`,
          })),
        });
        return true;
      },
    );
  });

  it('does not fail an update for managedFields that cannot be read', () => {
    const { manager } = configMaps();
    const broken = [
      {
        manager: 'x',
        operation: 'Update',
        apiVersion: 'v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { wrong: {} },
      },
    ] as ManagedFieldsEntry[];
    assert.equal(manager.update(configMap({ a: '1' }, broken), configMap({ a: '2' }), 'one'), undefined);
  });
});

describe('the manager of a request that names none', () => {
  it('is the User-Agent up to its first slash, printable, 128 bytes long at most', () => {
    assert.equal(managerOfUserAgent('kubectl/v1.36.0 (linux/amd64) kubernetes/abc'), 'kubectl');
    assert.equal(managerOfUserAgent('with\u0001 control\u200b'), 'with control');
    assert.equal(managerOfUserAgent(''), '');
    assert.equal(managerOfUserAgent('é'.repeat(100)), 'é'.repeat(64));
  });
});
