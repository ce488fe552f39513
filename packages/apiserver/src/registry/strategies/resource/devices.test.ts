import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Device, ResourceClaim, ResourceSlice } from '@cloudless/kube/types/resource-v1';
import { judgeExpression } from './device-expressions.ts';
import { validatePoolName, validateUuid } from './names.ts';
import { validateCapacity } from './validate-capacity.ts';
import { validateSlice } from './validate-slice.ts';
import { dropDeallocated, validateClaimStatus } from './validate-status.ts';

const texts = (errors: readonly FieldError[]): string[] =>
  errors.map(({ field, message }) => `${field}: ${message}`);
const path = FieldPath.of('p');

const slice = (spec: object) =>
  ({
    metadata: { name: 's' },
    spec: { driver: 'd', pool: { name: 'p', generation: 0, resourceSliceCount: 1 }, nodeName: 'n', ...spec },
  }) as unknown as ResourceSlice;
const withDevice = (device: Partial<Device>, spec: object = {}): ResourceSlice =>
  slice({ devices: [{ name: 'a', ...device }], ...spec });

describe('a ResourceSlice', () => {
  it('is of one place', () => {
    const place =
      'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
    assert.deepEqual(texts(validateSlice(slice({ nodeName: undefined }))), [
      `spec: Required value: ${place}`,
    ]);
    assert.deepEqual(texts(validateSlice(slice({ allNodes: true }))), [
      `spec: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${place}, but multiple fields are set`,
    ]);
    assert.deepEqual(texts(validateSlice(withDevice({ allNodes: true }))), [
      'spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
    ]);
  });

  it('has attributes of one value each, under names that say whose they are', () => {
    const attributes = { model: {}, 'a b': { int: 1 }, old: { version: '1.0' }, '/x': { bool: false } };
    const found = texts(validateSlice(withDevice({ attributes })));
    assert.equal(found.length, 4);
    assert.equal(
      found[0],
      'spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified',
    );
    assert.match(
      found[1] as string,
      /^spec.devices\[0\].attributes: Invalid value: "a b": a valid C identifier/,
    );
    assert.match(
      found[2] as string,
      /attributes\[old\].version: Invalid value: "1.0": must be a string compatible/,
    );
    assert.match(
      found[3] as string,
      /^spec.devices\[0\].attributes: Invalid value: "": the domain must not be empty/,
    );
  });

  it('may have fewer devices when they are tainted', () => {
    const devices = Array.from({ length: 65 }, (_, i) => ({ name: `d${i}` }));
    assert.deepEqual(texts(validateSlice(slice({ devices }))), []);
    const tainted = devices.map((device) => ({ ...device, taints: [{ key: 'k', effect: 'None' }] }));
    assert.deepEqual(texts(validateSlice(slice({ devices: tainted }))), [
      'spec.devices: Too many: 65: must have at most 64 items',
    ]);
  });

  it('keeps its driver, pool and node', () => {
    const old = slice({});
    const now = slice({
      driver: 'e',
      nodeName: 'm',
      pool: { name: 'q', generation: 0, resourceSliceCount: 1 },
    });
    const fields = validateSlice(now, old).map(({ field }) => field);
    assert.deepEqual(fields, ['spec.pool.name', 'spec.driver', 'spec.nodeName']);
  });

  it('says how much of a capacity one claim may ask for', () => {
    const capacity = (requestPolicy: object) => ({ value: '10', requestPolicy }) as never;
    assert.deepEqual(texts(validateCapacity(capacity({ default: '1' }), false, path)), [
      'p.requestPolicy: Forbidden: allowMultipleAllocations must be true',
    ]);
    const range = { default: '4', validRange: { min: '1', max: '9', step: '2' } };
    assert.deepEqual(texts(validateCapacity(capacity(range), true, path)), [
      'p.requestPolicy.validRange.step: Invalid value: "4": value is not a multiple of a given step (2) from (1)',
    ]);
    const options = { default: '3', validValues: ['2', '1', '11'] };
    assert.deepEqual(texts(validateCapacity(capacity(options), true, path)), [
      'p.requestPolicy.validValues[1]: Invalid value: "1": values must be sorted in ascending order',
      'p.requestPolicy.validValues[2]: Invalid value: "11": option is larger than capacity value: 10',
      'p.requestPolicy.validValues: Invalid value: "3": default value is not valid according to the requestPolicy',
    ]);
  });
});

describe('names of devices', () => {
  it('knows UUIDs in all their forms, and wants the normal one', () => {
    const id = '12345678-1234-1234-1234-123456789abc';
    assert.deepEqual(validateUuid(id, path), []);
    assert.match(texts(validateUuid('x', path))[0] as string, /invalid UUID length: 1$/);
    assert.match(texts(validateUuid(`{${id}}`, path))[0] as string, /RFC 4122 normalized form/);
    assert.match(texts(validateUuid(id.replace('a', 'g'), path))[0] as string, /invalid UUID format$/);
  });

  it('allows slashes in pools', () => {
    assert.deepEqual(validatePoolName('a/b.c', path), []);
    assert.equal(validatePoolName('a//b', path).length, 1);
  });
});

describe('the status of a ResourceClaim', () => {
  const result = { request: 'r', driver: 'd', pool: 'p', device: 'a' };
  const claim = (status: object) =>
    ({
      metadata: { name: 'c' },
      spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'k' } }] } },
      status,
    }) as unknown as ResourceClaim;
  const allocation = { devices: { results: [result] } };
  const { request: _request, ...device } = result;

  it('reports of allocated devices only', () => {
    assert.deepEqual(texts(validateClaimStatus(claim({ allocation, devices: [device] }), claim({}))), []);
    assert.deepEqual(texts(validateClaimStatus(claim({ devices: [device] }), claim({}))), [
      'status.devices[0]: Invalid value: {"Driver":"d","Pool":"p","Device":"a","ShareID":""}: must be an allocated device in the claim',
    ]);
  });

  it('drops reports of devices that are taken away', () => {
    const now = claim({ devices: [device] });
    dropDeallocated(now, claim({ allocation }));
    assert.deepEqual(now.status, {});
  });

  it('keeps an allocation, and is reserved only with one', () => {
    const other = { devices: { results: [{ ...result, device: 'b' }] } };
    const [changed] = validateClaimStatus(claim({ allocation: other }), claim({ allocation }));
    assert.match(changed?.message ?? '', /field is immutable$/);
    const reservedFor = [{ resource: 'pods', name: 'x', uid: '1' }];
    assert.deepEqual(texts(validateClaimStatus(claim({ reservedFor }), claim({}))), [
      'status.reservedFor: Forbidden: may not be specified when `allocated` is not set',
    ]);
  });
});

describe('expressions about devices', () => {
  const good = [
    'device.driver == "gpu.example.com" && device.allowMultipleAllocations',
    'device.attributes["gpu.example.com"].fast',
    'device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("1Gi"))',
    'cel.bind(a, device.attributes["gpu.example.com"], a.fast && a.model == "a100")',
    'device.attributes["gpu.example.com"].model.startsWith("a")',
  ];
  for (const expression of good)
    it(`takes ${expression}`, () => assert.equal(judgeExpression(expression), undefined));

  it('refuses other types, other names and what costs too much', () => {
    const problem = (expression: string): string =>
      (judgeExpression(expression) as { problem: string }).problem;
    assert.equal(problem('device.driver'), 'must evaluate to bool or the unknown type, not string');
    assert.match(
      problem('driver == "a"'),
      /^compilation failed: ERROR: <input>:1:1: undeclared reference to 'driver'/,
    );
    assert.match(
      problem(''),
      /^compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>'/,
    );
    const loop =
      'device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a == b))))';
    assert.equal(judgeExpression(loop), 'too-expensive');
  });
});
