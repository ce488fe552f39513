import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { FieldPath } from '@cloudless/kube/field';
import {
  cidrContains,
  formatCidr,
  formatIp,
  ipNameErrors,
  parseCidr,
  parseIp,
  validateCidr,
} from './addresses.ts';
import { nameRuleOf, validateAnnotations, validateObjectMeta, validateObjectMetaUpdate } from './metadata.ts';
import * as names from './names.ts';

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };
const at = FieldPath.of('metadata');

describe('names', () => {
  const table: Array<[string, (value: string) => string[], string, string[]]> = [
    ['a label may be one letter', names.isDns1123Label, 'a', []],
    ['a label has no dots', names.isDns1123Label, 'a.b', ['must not contain dots']],
    [
      'a label has no capitals',
      names.isDns1123Label,
      'A',
      [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
      ],
    ],
    [
      'a label holds 63 characters',
      names.isDns1123Label,
      'a'.repeat(64),
      ['must be no more than 63 characters'],
    ],
    ['a key may have a prefix', names.isQualifiedName, 'example.com/MyName', []],
    ['a key needs a prefix before the slash', names.isQualifiedName, '/a', ['prefix part must be non-empty']],
    ['a port name needs a letter', names.isPortName, '80', ['must contain at least one letter (a-z)']],
    ['a port name has no double hyphen', names.isPortName, 'a--b', ['must not contain consecutive hyphens']],
    ['an environment name may hold dots', names.isEnvName, 'a.b c', []],
    ['a config key may not climb', names.isConfigMapKey, '..a', ["must not start with '..'"]],
    ['a percentage is whole', names.isPercent, '10%', []],
  ];
  for (const [sentence, rule, value, expected] of table) {
    it(sentence, () => assert.deepEqual(rule(value), expected));
  }

  it('lets a generateName end in a dash', () => {
    assert.deepEqual(names.nameIsDnsLabel('web-', true), []);
    assert.notDeepEqual(names.nameIsDnsLabel('web-'), []);
  });

  it('knows the rule of each kind', () => {
    assert.deepEqual(nameRuleOf({ group: 'rbac.authorization.k8s.io', kind: 'Role' })('system:node'), []);
    assert.equal(nameRuleOf({ group: '', kind: 'Service' })('a.b').length, 1);
    assert.deepEqual(nameRuleOf({ group: '', kind: 'Pod' })('a.b'), []);
    assert.equal(nameRuleOf({ group: 'networking.k8s.io', kind: 'IPAddress' })('10.0.0.01').length, 1);
  });
});

describe('metadata', () => {
  it('wants a name and a namespace', () => {
    const wrong = validateObjectMeta({}, { namespaced: true, nameRule: names.nameIsDnsLabel });
    assert.deepEqual(
      wrong.map((error) => `${error.field}: ${error.message}`),
      [
        'metadata.name: Required value: name or generateName is required',
        'metadata.namespace: Required value',
      ],
    );
  });

  it('refuses two controllers', () => {
    const owner = { apiVersion: 'v1', kind: 'A', name: 'a', uid: '1', controller: true };
    const wrong = validateObjectMeta(
      { name: 'a', ownerReferences: [owner, { ...owner, name: 'b' }] },
      { namespaced: false, nameRule: names.nameIsDnsLabel },
    );
    assert.match(
      wrong[0]?.message ?? '',
      /Only one reference can have Controller set to true.*A\/a and A\/b/,
    );
  });

  it('keeps uid and deletion as they are, and wants a version', () => {
    const wrong = validateObjectMetaUpdate({ name: 'a', uid: '2' }, { name: 'a', uid: '1' }, {});
    assert.deepEqual(
      wrong.map((error) => error.field),
      ['metadata.resourceVersion', 'metadata.uid'],
    );
  });

  it('counts annotations in bytes', () => {
    assert.deepEqual(validateAnnotations({ a: 'x'.repeat(262143) }, at), []);
    assert.equal(
      validateAnnotations({ a: 'é'.repeat(131072) }, at)[0]?.message,
      'Too long: may not be more than 262144 bytes',
    );
  });
});

describe('addresses', () => {
  const table: Array<[string, string[]]> = [
    ['10.9.8.7', []],
    ['10.9.8.07', ['must not have leading 0s']],
    ['::ffff:1.2.3.4', ['must not be an IPv4-mapped IPv6 address']],
    ['2001:DB8::1', ['must be in canonical form ("2001:db8::1")']],
    ['1.2.3', ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']],
  ];
  for (const [text, expected] of table) {
    it(`judges ${text}`, () => assert.deepEqual(ipNameErrors(text), expected));
  }

  it('reads what Node reads, and prints it canonically', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const ip = parseIp(text);
        assert.ok(ip, text);
        const printed = formatIp(ip);
        assert.notEqual(isIP(printed), 0);
        assert.deepEqual(parseIp(printed)?.value, ip.value);
        if (ip.family === 'IPv6') assert.equal(new URL(`http://[${text}]/`).hostname, `[${printed}]`);
      }),
      { ...seed, numRuns: 500 },
    );
  });

  it('masks a CIDR and knows what lies in it', () => {
    const cidr = parseCidr('10.96.0.1/12');
    assert.ok(cidr);
    assert.equal(formatCidr(cidr), '10.96.0.0/12');
    assert.equal(cidrContains(cidr, parseIp('10.111.255.255')!), true);
    assert.equal(cidrContains(cidr, parseIp('10.112.0.0')!), false);
    assert.match(validateCidr('10.96.0.1/12', at)[0]?.message ?? '', /must not have bits set beyond/);
  });
});
