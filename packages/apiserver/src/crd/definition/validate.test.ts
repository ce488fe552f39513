import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@cloudless/kube/types/apiextensions-v1';
import { validateDefinition, validateDefinitionUpdate } from './validate.ts';

const definition = (
  properties: Record<string, JSONSchemaProps> = {},
  version: Partial<CustomResourceDefinitionVersion> = {},
): CustomResourceDefinition => ({
  metadata: { name: 'foos.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'foos', singular: 'foo', kind: 'Foo', listKind: 'FooList' },
    conversion: { strategy: 'None' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } } },
        ...version,
      },
    ],
  },
  status: { storedVersions: ['v1'] },
});

const texts = (object: CustomResourceDefinition): string[] =>
  validateDefinition(object).map(({ field, message }) => `${field}: ${message}`);

const at = 'spec.validation.openAPIV3Schema.properties[spec].properties[a]';
const text: JSONSchemaProps = { type: 'string' };

/** Schemas of `spec.a`, with the errors that kube-apiserver 1.36.3 gave for them. */
const schemas: ReadonlyArray<readonly [what: string, schema: JSONSchemaProps, ...errors: string[]]> = [
  ['a type is there', {}, `${at}.type: Required value: must not be empty for specified object fields`],
  [
    'and known',
    { type: 'foo' },
    `${at}.type: Unsupported value: "foo": supported values: "array", "boolean", "integer", "number", "object", "string"`,
  ],
  ['lists say of what', { type: 'array' }, `${at}.items: Required value: must be specified`],
  [
    'properties or additionalProperties',
    { type: 'object', properties: { b: text }, additionalProperties: text },
    `${at}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive`,
  ],
  [
    'types stand outside of combinations',
    { type: 'string', anyOf: [{ type: 'string' }] },
    `${at}.anyOf[0].type: Forbidden: must be empty to be structural`,
  ],
  [
    'but for int-or-string',
    { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
  ],
  [
    'patterns are RE2',
    { type: 'string', pattern: '(?=a)' },
    `${at}.pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn't: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\``,
  ],
  [
    'defaults fit',
    { type: 'string', default: 1 },
    `${at}.default: Invalid value: "integer":  in body must be of type string: "integer"`,
  ],
  [
    'defaults hold nothing unknown',
    { type: 'object', properties: { b: text }, default: { c: 1 } },
    `${at}.default: Invalid value: {"c":1}: must not have unknown fields`,
  ],
  [
    'sets have atomic items',
    { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } },
    `${at}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set`,
  ],
  [
    'maps have keys',
    { type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object' } },
    `${at}.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map`,
  ],
  [
    'keys are always there',
    {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', properties: { k: text } },
    },
    `${at}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property`,
  ],
  [
    'no quadratic work',
    { type: 'array', uniqueItems: true, items: text },
    `${at}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`,
  ],
  ['no references', { $ref: '#/x', type: 'string' }, `${at}.$ref: Forbidden: $ref is not supported`],
];

describe('the schema of a definition', () => {
  for (const [what, schema, ...errors] of schemas)
    it(what, () => assert.deepEqual(texts(definition({ a: schema })), errors));

  it('specifies what its root judges', () => {
    const object = definition();
    const schema = object.spec.versions[0]?.schema?.openAPIV3Schema as JSONSchemaProps;
    schema.anyOf = [{ properties: { zzz: { minimum: 1 } } }];
    const root = 'spec.validation.openAPIV3Schema';
    const why = `because it is defined in ${root}.anyOf[0].properties[zzz]`;
    assert.deepEqual(texts(object), [`${root}.properties[zzz]: Required value: ${why}`]);
  });

  it('knows its place when versions differ', () => {
    const object = definition();
    object.spec.versions.push({
      name: 'v2',
      served: true,
      storage: false,
      schema: { openAPIV3Schema: { type: 'object', properties: { spec: {} } } },
    });
    assert.deepEqual(texts(object), [
      'spec.versions[1].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields',
    ]);
  });
});

describe('a definition', () => {
  const cases: ReadonlyArray<readonly [string, (object: CustomResourceDefinition) => void, ...string[]]> = [
    [
      'is named after its plural and group',
      (object) => void (object.metadata.name = 'x.example.com'),
      'metadata.name: Invalid value: "x.example.com": must be spec.names.plural+"."+spec.group',
    ],
    [
      'has a domain for a group',
      (object) => {
        object.spec.group = 'foo';
        object.metadata.name = 'foos.foo';
      },
      'spec.group: Invalid value: "foo": should be a domain with at least one dot',
    ],
    [
      'stores one version',
      (object) => void ((object.spec.versions[0] as CustomResourceDefinitionVersion).storage = false),
      'spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must have exactly one version marked as storage version',
    ],
    [
      'needs approval in groups of the project',
      (object) => {
        object.spec.group = 'x.k8s.io';
        object.metadata.name = 'foos.x.k8s.io';
      },
      'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
    ],
    [
      'keeps nothing unknown',
      (object) => void (object.spec.preserveUnknownFields = true),
      'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
    ],
  ];
  for (const [what, change, ...errors] of cases)
    it(what, () => {
      const object = definition();
      change(object);
      assert.deepEqual(texts(object), errors);
    });

  it('keeps its names once it is established, and old versions until they are migrated', () => {
    const old = definition();
    old.status = { storedVersions: ['v0', 'v1'], conditions: [{ type: 'Established', status: 'True' }] };
    const object = structuredClone(old);
    object.spec.scope = 'Cluster';
    object.spec.names.kind = 'Bar';
    assert.deepEqual(
      validateDefinitionUpdate(object, old).map(({ field, message }) => `${field}: ${message}`),
      [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Bar": field is immutable',
        'status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions',
      ],
    );
  });

  it('may stay as an older server took it', () => {
    const old = definition({
      a: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } },
    });
    const object = structuredClone(old);
    object.spec.names.shortNames = ['f'];
    assert.deepEqual(validateDefinitionUpdate(object, old), []);
  });
});
