import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FieldError } from '@cloudless/kube/field';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingAdmissionPolicyBindingSpec,
  ValidatingAdmissionPolicySpec,
  ValidatingWebhook,
  WebhookClientConfig,
} from '@cloudless/kube/types/admissionregistration-v1';
import { validateBinding, validateMutatingPolicy, validatePolicy } from './policies.ts';
import { validateWebhooks } from './webhooks.ts';

const texts = (found: readonly FieldError[]): string[] =>
  found.map(({ field, message }) => `${field}: ${message}`);

const rule = { operations: ['CREATE'], apiGroups: ['a'], apiVersions: ['v1'], resources: ['x'] };
const hook = (fields: Partial<ValidatingWebhook>): ValidatingWebhook => ({
  name: 'a.example.com',
  clientConfig: { url: 'https://example.com' },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  rules: [rule],
  ...fields,
});

describe('webhooks', () => {
  const clients: Array<[WebhookClientConfig, string[]]> = [
    [{}, ['clientConfig: Required value: exactly one of url or service is required']],
    [{ url: 'https://example.com/a' }, []],
    [
      { url: 'http://example.com' },
      [
        `clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
      ],
    ],
    [
      { url: 'https://me:secret@example.com/?a=b#c' },
      [
        'clientConfig.url: Invalid value: "me:secret": user information is not permitted in the URL',
        'clientConfig.url: Invalid value: "c": fragments are not permitted in the URL',
        'clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL',
      ],
    ],
    [
      { service: { name: '', namespace: '', port: 0 } },
      [
        'clientConfig.service.name: Required value',
        'clientConfig.service.namespace: Required value',
        'clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      { service: { name: 'a', namespace: 'b', path: 'x' } },
      [
        `clientConfig.service.path: Invalid value: "x": must start with a '/'`,
        'clientConfig.service.path: Invalid value: "x": segment[0] may not be empty',
      ],
    ],
    [
      { service: { name: 'a', namespace: 'b', path: '/x//y/' } },
      ['clientConfig.service.path: Invalid value: "/x//y/": segment[1] may not be empty'],
    ],
  ];
  for (const [clientConfig, expected] of clients)
    it(`are called at ${JSON.stringify(clientConfig)}`, () => {
      const found = validateWebhooks([hook({ clientConfig })]);
      assert.deepEqual(
        texts(found),
        expected.map((text) => `webhooks[0].${text}`),
      );
    });

  const rules: Array<[object, string[]]> = [
    [rule, []],
    [
      {},
      [
        'operations: Required value',
        'apiGroups: Required value',
        'apiVersions: Required value',
        'resources: Required value',
      ],
    ],
    [
      { ...rule, operations: ['*', 'CREATE'] },
      [`operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations`],
    ],
    [
      { ...rule, operations: ['PATCH'] },
      [
        'operations[0]: Unsupported value: "PATCH": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
      ],
    ],
    [
      { ...rule, apiGroups: ['a', '*'] },
      [`apiGroups: Invalid value: ["a","*"]: if '*' is present, must not specify other API groups`],
    ],
    [{ ...rule, apiVersions: [''] }, ['apiVersions[0]: Required value']],
    [
      { ...rule, resources: ['*/*', 'a'] },
      [`resources: Invalid value: ["*/*","a"]: if '*/*' is present, must not specify other resources`],
    ],
    [
      { ...rule, resources: ['*', 'a'] },
      [
        `resources: Invalid value: ["*","a"]: if '*' is present, must not specify other resources without subresources`,
      ],
    ],
    [
      { ...rule, resources: ['a/*', 'a/b'] },
      [`resources[1]: Invalid value: "a/b": if 'a/*' is present, must not specify a/b`],
    ],
    [
      { ...rule, resources: ['*/b', 'a/b'] },
      [`resources[1]: Invalid value: "a/b": if '*/b' is present, must not specify a/b`],
    ],
    [
      { ...rule, scope: 'Everywhere' },
      ['scope: Unsupported value: "Everywhere": supported values: "*", "Cluster", "Namespaced"'],
    ],
  ];
  for (const [given, expected] of rules)
    it(`are asked by ${JSON.stringify(given)}`, () => {
      const found = validateWebhooks([hook({ rules: [given] })]);
      assert.deepEqual(
        texts(found),
        expected.map((text) => `webhooks[0].rules[0].${text}`),
      );
    });

  it('have names, side effects, versions and times that fit', () => {
    const found = validateWebhooks([
      hook({ name: 'short', sideEffects: 'Some', admissionReviewVersions: ['v2', 'v2'], timeoutSeconds: 31 }),
      hook({ sideEffects: '' }),
      hook({}),
    ]);
    assert.deepEqual(texts(found), [
      'webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots',
      'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
      'webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds',
      'webhooks[0].admissionReviewVersions[1]: Invalid value: "v2": duplicate version',
      'webhooks[0].admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, v1beta1',
      'webhooks[1].sideEffects: Unsupported value: "": supported values: "None", "NoneOnDryRun"',
      'webhooks[2].name: Duplicate value: "a.example.com"',
    ]);
  });

  it('may keep what they had', () => {
    const old = [hook({ sideEffects: 'Some', matchConditions: [{ name: 'a', expression: 'broken(' }] })];
    assert.deepEqual(texts(validateWebhooks(old, old)), []);
  });

  it('have conditions that compile to bool', () => {
    const found = validateWebhooks([
      hook({
        matchConditions: [
          { name: 'a', expression: 'object.x' },
          { name: 'a', expression: "request.operation == 'CREATE'" },
          { name: 'b c', expression: ' ' },
          { name: 'd', expression: 'params.x == 1' },
        ],
      }),
    ]);
    const [dyn, twice, empty, name, unknown] = texts(found);
    assert.equal(
      dyn,
      'webhooks[0].matchConditions[0].expression: Invalid value: "object.x": must evaluate to bool but got dyn',
    );
    assert.equal(twice, 'webhooks[0].matchConditions[1].name: Duplicate value: "a"');
    assert.equal(empty, 'webhooks[0].matchConditions[2].expression: Required value');
    assert.match(
      name ?? '',
      /^webhooks\[0\]\.matchConditions\[2\]\.name: Invalid value: "b c": name part must consist of/,
    );
    assert.match(
      unknown ?? '',
      /^webhooks\[0\]\.matchConditions\[3\]\.expression: Invalid value: "params.x == 1": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params'/,
    );
  });
});

const policy = (spec: ValidatingAdmissionPolicySpec): ValidatingAdmissionPolicy => ({
  metadata: { name: 'p' },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      resourceRules: [rule],
    },
    validations: [{ expression: 'true' }],
    ...spec,
  },
});

describe('policies', () => {
  const specs: Array<[ValidatingAdmissionPolicySpec, RegExp[]]> = [
    [{}, []],
    [
      { validations: [] },
      [
        /^spec.validations: Required value: validations or auditAnnotations must contain at least one item$/,
        /^spec.auditAnnotations: Required value/,
      ],
    ],
    [
      { matchConstraints: { matchPolicy: 'Exact', namespaceSelector: {}, objectSelector: {} } },
      [/^spec.matchConstraints.resourceRules: Required value$/],
    ],
    [
      { validations: [{ expression: '' }] },
      [/^spec.validations\[0\].expression: Required value: expression is not specified$/],
    ],
    [
      { validations: [{ expression: '1' }] },
      [/^spec.validations\[0\].expression: Invalid value: "1": must evaluate to bool but got int$/],
    ],
    [
      { validations: [{ expression: 'object.x <' }] },
      [
        /^spec.validations\[0\].expression: Invalid value: "object.x <": compilation failed: ERROR: <input>:1:11: Syntax error/,
      ],
    ],
    [
      { validations: [{ expression: 'true', message: 'a\nb', reason: 'Odd' }] },
      [
        /message: Invalid value: "a\\nb": must not contain line breaks$/,
        /reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"$/,
      ],
    ],
    [
      {
        validations: [
          { expression: 'true', messageExpression: "authorizer.path('/x').check('get').allowed()" },
        ],
      },
      [/messageExpression: Invalid value: .*undeclared reference to 'authorizer'/s],
    ],
    [
      {
        variables: [
          { name: 'a', expression: '1' },
          { name: 'b', expression: 'variables.a + 1' },
        ],
        validations: [{ expression: 'variables.b == 2' }],
      },
      [],
    ],
    [
      { variables: [{ name: 'in', expression: 'variables.later' }] },
      [
        /variables\[0\].name: Invalid value: "in": must be a valid CEL identifier/,
        /variables\[0\].expression: Invalid value: "variables.later": compilation failed: .*undefined field 'later'/s,
      ],
    ],
    [
      { paramKind: { apiVersion: 'a/b/c', kind: '' } },
      [
        /paramKind.apiVersion: Invalid value: "a\/b\/c": unexpected GroupVersion string: a\/b\/c$/,
        /paramKind.kind: Required value$/,
      ],
    ],
    [
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        validations: [{ expression: 'params.data.x == "1"' }],
      },
      [],
    ],
    [
      {
        auditAnnotations: [
          { key: 'k', valueExpression: '1' },
          { key: 'k', valueExpression: "'x'" },
        ],
      },
      [
        /auditAnnotations\[0\].valueExpression: Invalid value: "1": must evaluate to one of \[string null_type\] but got int$/,
        /auditAnnotations\[1\].key: Duplicate value: "k"$/,
      ],
    ],
  ];
  for (const [spec, expected] of specs)
    it(`are judged: ${JSON.stringify(spec).slice(0, 90)}`, () => {
      const found = texts(validatePolicy(policy(spec)));
      assert.equal(found.length, expected.length, found.join('\n'));
      expected.forEach((pattern, i) => assert.match(found[i] as string, pattern));
    });

  it('that mutate are judged but for their expressions', () => {
    const { spec = {} } = policy({});
    const { validations: _none, ...rest } = spec;
    const found = validateMutatingPolicy({
      metadata: { name: 'm' },
      spec: {
        ...rest,
        matchConstraints: { ...spec.matchConstraints, resourceRules: [{ ...rule, operations: ['DELETE'] }] },
        mutations: [{ patchType: 'JSONPatch', applyConfiguration: { expression: 'x' } }],
      },
    });
    assert.deepEqual(texts(found), [
      'spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
      'spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch',
      'spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch',
      'spec.reinvocationPolicy: Required value',
    ]);
  });
});

describe('bindings', () => {
  const binding = (
    spec: Partial<ValidatingAdmissionPolicyBindingSpec>,
  ): ValidatingAdmissionPolicyBinding => ({
    metadata: { name: 'b' },
    spec: { policyName: 'p', validationActions: ['Deny'], ...spec },
  });
  const specs: Array<[Partial<ValidatingAdmissionPolicyBindingSpec>, string[]]> = [
    [{}, []],
    [{ policyName: '' }, ['spec.policyName: Required value']],
    [
      { validationActions: [] },
      ['spec.validationActions: Required value: at least one validation action is required'],
    ],
    [
      { validationActions: ['Deny', 'Warn', 'Deny'] },
      [
        'spec.validationActions[2]: Duplicate value: "Deny"',
        'spec.validationActions: Invalid value: ["Deny","Warn","Deny"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ],
    ],
    [
      { paramRef: {} },
      [
        'spec.paramRef: Required value: one of name or selector must be specified',
        'spec.paramRef.parameterNotFoundAction: Required value',
      ],
    ],
    [
      { paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'Deny' } },
      [
        'spec.paramRef.name: Forbidden: name and selector are mutually exclusive',
        'spec.paramRef.selector: Forbidden: name and selector are mutually exclusive',
      ],
    ],
  ];
  for (const [spec, expected] of specs)
    it(`are judged: ${JSON.stringify(spec)}`, () => {
      assert.deepEqual(texts(validateBinding(binding(spec))), expected);
    });
});
