import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { schemaOf } from '@cloudless/kube/schema/schema';
import { Definitions, definitionName } from './definitions.ts';
import { installedDescriptions, noDescriptions, readDeclaration } from './descriptions.ts';

describe('descriptions', () => {
  it('are the doc comments of a declaration', () => {
    const source = [
      '/**',
      ' * A thing.',
      ' *',
      ' * Of two \\* parts.',
      ' */',
      'export interface IThing {',
      '    /**',
      '     * How many.',
      '     * @deprecated',
      '     */',
      '    "count"?: number;',
      '    "silent": string;',
      '}',
      '/**',
      ' * Another.',
      ' */',
      'export declare class Thing {',
      '    /**',
      '     * Not this.',
      '     */',
      '    "silent": string;',
      '}',
    ].join('\n');
    const { text, fields } = readDeclaration(source, 'Thing');
    assert.equal(text, 'A thing.\n\nOf two * parts.');
    assert.deepEqual([...fields], [['count', 'How many.']]);
  });

  it('come from the installed package for kinds of every group and what they share', () => {
    const descriptions = installedDescriptions();
    assert.match(descriptions.source, /^kubernetes-models@\d/);
    const kinds = [
      { group: '', version: 'v1', kind: 'Pod' },
      { group: 'apps', version: 'v1', kind: 'Deployment' },
      { group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'Role' },
      { group: 'apiextensions.k8s.io', version: 'v1', kind: 'CustomResourceDefinition' },
      { group: 'apiregistration.k8s.io', version: 'v1', kind: 'APIService' },
      { group: '', version: 'v1', kind: 'Status' },
    ];
    for (const kind of kinds) {
      const struct = schemaOf(kind);
      assert.ok(struct);
      const found = descriptions.of(definitionName(struct.name));
      assert.ok(found?.text && found.fields.size > 0, kind.kind);
    }
    const schema = new Definitions(descriptions).get('io.k8s.api.core.v1.Pod');
    const properties = schema['properties'] as Record<string, { description?: string }>;
    for (const name of ['apiVersion', 'kind', 'metadata', 'spec', 'status'])
      assert.ok(properties[name]?.description, name);
  });

  it('are absent without the package', () => {
    const absent = installedDescriptions('file:///nowhere/module.js');
    assert.equal(absent, noDescriptions);
    const schema = new Definitions(absent).get('io.k8s.api.core.v1.Pod');
    assert.ok(!('description' in schema));
  });
});
