import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { duplicateFields, parseJson } from '../codec/json.ts';
import {
  decodeObject,
  duplicateFieldErrors,
  pruneUnknown,
  strictDecodingMessage,
  validateFields,
} from './decode.ts';
import { type StructSchema, schemaOf, schemaOfObject } from './schema.ts';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

const deployment = schemaOf({ group: 'apps', version: 'v1', kind: 'Deployment' }) as StructSchema;
const pod = schemaOf({ group: '', version: 'v1', kind: 'Pod' }) as StructSchema;

describe('decodeObject', () => {
  const vectors = readFileSync(new URL('../codec/testdata/wrong.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { json: string; error: string });
  for (const { json, error } of vectors)
    it(`says ${error}`, () => {
      const value = parseJson(json) as { apiVersion: string; kind: string };
      let said = '';
      try {
        const { strictErrors } = decodeObject(schemaOfObject(value) as StructSchema, value);
        if (strictErrors.length > 0) said = strictDecodingMessage(strictErrors);
      } catch (thrown) {
        assert.ok(thrown instanceof Error && thrown.name === 'DecodeError', String(thrown));
        said = thrown.message;
      }
      assert.equal(said, error);
    });

  it('brings an object into the form that upstream stores', () => {
    const { object, strictErrors } = decodeObject(pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', creationTimestamp: null, labels: {}, annotations: { a: '' } },
      spec: {
        hostNetwork: false,
        containers: [
          {
            name: 'c',
            resources: { requests: { cpu: '0.5', memory: '1024Mi' } },
            readinessProbe: { httpGet: { port: 80 }, initialDelaySeconds: 0 },
            securityContext: {},
            env: [],
            command: null,
          },
        ],
        tolerations: [{ tolerationSeconds: 0 }],
      },
    });
    assert.deepEqual(strictErrors, []);
    assert.deepEqual(object, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', annotations: { a: '' } },
      spec: {
        containers: [
          {
            name: 'c',
            resources: { requests: { cpu: '500m', memory: '1Gi' } },
            readinessProbe: { httpGet: { port: 80 } },
            securityContext: {},
          },
        ],
        tolerations: [{ tolerationSeconds: 0 }],
      },
      status: {},
    });
  });

  it('does not change its input', () => {
    const value = Object.freeze({ metadata: Object.freeze({ name: 'x', extra: 1 }) });
    assert.deepEqual(pruneUnknown(pod, value)['metadata'], { name: 'x' });
    assert.deepEqual(value.metadata, { name: 'x', extra: 1 });
  });

  it('names unknown fields by their path, each once, at most a hundred', () => {
    const value = {
      spec: { foo: 1, template: { spec: { containers: [{ name: 'a' }, { imag: 'x', ports: [{ x: 1 }] }] } } },
    };
    assert.deepEqual(validateFields(deployment, value), [
      'unknown field "spec.foo"',
      'unknown field "spec.template.spec.containers[1].imag"',
      'unknown field "spec.template.spec.containers[1].ports[0].x"',
    ]);
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`f${i}`, 1]));
    assert.equal(validateFields(pod, many).length, 100);
  });

  it('is case-sensitive', () => {
    assert.deepEqual(validateFields(pod, { Spec: {} }), ['unknown field "Spec"']);
  });

  it('joins unknown and duplicate fields as upstream does', () => {
    const text = '{"metadata":{"name":"a","name":"b"},"spec":{"foo":1}}';
    const errors = [...duplicateFieldErrors(duplicateFields(text)), ...validateFields(pod, parseJson(text))];
    assert.equal(
      strictDecodingMessage(errors),
      'strict decoding error: duplicate field "metadata.name", unknown field "spec.foo"',
    );
  });

  it('keeps a label called __proto__ a label', () => {
    const { object } = decodeObject(pod, parseJson('{"metadata":{"labels":{"__proto__":"x"}}}'));
    const labels = (object['metadata'] as { labels: object }).labels;
    assert.deepEqual(Object.entries(labels), [['__proto__', 'x']]);
  });

  it('refuses a body that is no object', () => {
    assert.throws(() => decodeObject(pod, []), {
      message: 'json: cannot unmarshal array into Go value of type v1.Pod',
    });
    assert.throws(() => decodeObject(pod, 'x'), /cannot unmarshal string into Go value of type v1.Pod/);
  });
});

describe('parseTimestamp', () => {
  const good: Array<[string, 'time' | 'microTime', string]> = [
    ['2024-02-29T23:59:59Z', 'time', '2024-02-29T23:59:59Z'],
    ['2024-01-01T01:00:00+02:00', 'time', '2023-12-31T23:00:00Z'],
    ['2024-01-01T01:00:00.999-00:30', 'time', '2024-01-01T01:30:00Z'],
    ['0050-01-01T00:00:00Z', 'time', '0050-01-01T00:00:00Z'],
    ['2024-01-01T00:00:00.123456Z', 'microTime', '2024-01-01T00:00:00.123456Z'],
  ];
  for (const [text, kind, out] of good)
    it(`reads ${text}`, () => assert.equal(formatTimestamp(parseTimestamp(text, kind), kind), out));

  const layout = '2006-01-02T15:04:05Z07:00';
  const bad: Array<[string, string]> = [
    ['', `parsing time "" as "${layout}": cannot parse "" as "2006"`],
    [
      '2024-1-01T00:00:00Z',
      `parsing time "2024-1-01T00:00:00Z" as "${layout}": cannot parse "1-01T00:00:00Z" as "01"`,
    ],
    [
      '2024-01-01 00:00:00Z',
      `parsing time "2024-01-01 00:00:00Z" as "${layout}": cannot parse " 00:00:00Z" as "T"`,
    ],
    ['2024-01-01T00:00:00', `parsing time "2024-01-01T00:00:00" as "${layout}": cannot parse "" as "Z07:00"`],
    ['2024-13-01T00:00:00Z', 'parsing time "2024-13-01T00:00:00Z": month out of range'],
    ['2023-02-29T00:00:00Z', 'parsing time "2023-02-29T00:00:00Z": day out of range'],
    ['2024-01-01T24:00:00Z', 'parsing time "2024-01-01T24:00:00Z": hour out of range'],
    ['2024-01-01T00:00:00Zx', 'parsing time "2024-01-01T00:00:00Zx": extra text: "x"'],
  ];
  for (const [text, message] of bad)
    it(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseTimestamp(text, 'time'), { message }));
});
