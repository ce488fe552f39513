import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { admissionregistration, apps, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type {
  ValidatingAdmissionPolicyBindingSpec,
  ValidatingAdmissionPolicySpec,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { startTestServer, type TestServer } from '../../testing/test-server.ts';
import { refused } from '../../testing/hooked-server.ts';
import { validatingAdmissionPolicies } from './index.ts';

const { validatingadmissionpolicies: policies, validatingadmissionpolicybindings: bindings } =
  admissionregistration;

let test: TestServer;
let admin: KubeClient;
const warnings: string[] = [];
const annotations = new Map<string, string>();
before(async () => {
  test = await startTestServer({
    authorizer: () => ({
      authorizer: {
        authorize: ({ user, resource }) => ({
          verdict: user.groups.includes('no-secrets') && resource === 'secrets' ? 'no-opinion' : 'allow',
          reason: '',
        }),
      },
      ready: Promise.resolve(),
    }),
    admission(context, authorizer) {
      const plugin = validatingAdmissionPolicies({ ...context, authorizer });
      return [
        {
          ...plugin,
          name: plugin.name,
          handles: (...request) => plugin.handles(...request),
          validate: (request) =>
            plugin.validate?.({
              ...request,
              warn: (text) => void warnings.push(text),
              annotate: (key, value) => void annotations.set(key, value),
            }),
        },
      ];
    },
  });
  admin = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
  await admin.create(core.namespaces, { metadata: { name: 'space', labels: { team: 'blue' } } });
});
after(() => test[Symbol.asyncDispose]());
afterEach(async () => {
  for (const { metadata } of (await admin.list(bindings)).items)
    await admin.delete(bindings, metadata.name as string);
  for (const { metadata } of (await admin.list(policies)).items)
    await admin.delete(policies, metadata.name as string);
  warnings.length = 0;
  annotations.clear();
});

const configMaps = {
  apiGroups: [''],
  apiVersions: ['v1'],
  operations: ['CREATE', 'UPDATE'],
  resources: ['configmaps'],
};
const policy = async (name: string, spec: ValidatingAdmissionPolicySpec): Promise<void> => {
  await admin.create(policies, {
    metadata: { name },
    spec: { matchConstraints: { resourceRules: [configMaps] }, ...spec },
  });
};
const bind = async (
  policyName: string,
  spec: Partial<ValidatingAdmissionPolicyBindingSpec> = {},
  name = `${policyName}-bound`,
): Promise<void> => {
  await admin.create(bindings, {
    metadata: { name },
    spec: { policyName, validationActions: ['Deny'], ...spec },
  });
};

let count = 0;
const map = (data: Record<string, string> = {}, metadata: ConfigMap['metadata'] = {}): ConfigMap => ({
  metadata: { name: `map-${count++}`, namespace: 'space', ...metadata },
  data,
});
const create = (data: Record<string, string> = {}, metadata: ConfigMap['metadata'] = {}) =>
  admin.create(core.configmaps, map(data, metadata));
const denied = (name: string, message: string): RegExp =>
  new RegExp(
    `^configmaps "map-\\d+" is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}-bound' denied request: ${message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`,
  );

describe('ValidatingAdmissionPolicy', () => {
  const validations: Array<
    [
      string,
      NonNullable<ValidatingAdmissionPolicySpec['validations']>[number],
      Record<string, string>,
      number,
      string,
    ]
  > = [
    [
      'by its expression',
      { expression: "object.data.size == 'small'" },
      { size: 'big' },
      422,
      "failed expression: object.data.size == 'small'",
    ],
    [
      'by its message',
      { expression: "object.data.size == 'small'", message: 'too big' },
      { size: 'big' },
      422,
      'too big',
    ],
    [
      'by what messageExpression says',
      {
        expression: "object.data.size == 'small'",
        message: 'too big',
        messageExpression: "'is ' + object.data.size",
      },
      { size: 'big' },
      422,
      'is big',
    ],
    [
      'by its message when messageExpression fails',
      {
        expression: "object.data.size == 'small'",
        message: 'too big',
        messageExpression: 'string(object.data.none)',
      },
      { size: 'big' },
      422,
      'too big',
    ],
    [
      'by its message when messageExpression gives lines',
      { expression: "object.data.size == 'small'", message: 'too big', messageExpression: "'a\\nb'" },
      { size: 'big' },
      422,
      'too big',
    ],
    ['with its reason', { expression: 'false', reason: 'Forbidden' }, {}, 403, 'failed expression: false'],
    [
      'with its reason',
      { expression: 'false', reason: 'RequestEntityTooLarge' },
      {},
      413,
      'failed expression: false',
    ],
    [
      'when its expression fails',
      { expression: "object.data.none == 'x'" },
      { size: 'big' },
      422,
      "expression 'object.data.none == 'x'' resulted in error: no such key: none",
    ],
    [
      'by the request',
      { expression: "request.userInfo.username != 'admin'" },
      {},
      422,
      "failed expression: request.userInfo.username != 'admin'",
    ],
    [
      'by the namespace',
      { expression: "namespaceObject.metadata.labels.team == 'red'" },
      {},
      422,
      "failed expression: namespaceObject.metadata.labels.team == 'red'",
    ],
    [
      'by what was before',
      { expression: 'oldObject != null' },
      {},
      422,
      'failed expression: oldObject != null',
    ],
  ];
  for (const [what, validation, data, code, message] of validations)
    it(`refuses ${what}: ${message}`, async () => {
      await policy('rule', { validations: [validation] });
      await create(data);
      await bind('rule');
      await assert.rejects(create(data), refused(code, denied('rule', message)));
    });

  it('asks what the user may do', async () => {
    await policy('rule', {
      validations: [
        {
          expression:
            "authorizer.group('').resource('secrets').namespace('space').check('get').allowed() && authorizer.requestResource.check('create').allowed()",
          message: 'no secrets',
        },
      ],
    });
    await bind('rule');
    await create();
    const nobody = test.server.clientFor({ name: 'nobody', groups: ['no-secrets'] });
    await assert.rejects(nobody.create(core.configmaps, map()), refused(422, denied('rule', 'no secrets')));
  });

  it('says why and with which reason', async () => {
    await policy('rule', { validations: [{ expression: 'false', message: 'no' }] });
    await bind('rule');
    const error = await create().catch((caught: unknown) => caught);
    assert.ok(error instanceof StatusError);
    assert.equal(error.reason, 'Invalid');
    const message = "ValidatingAdmissionPolicy 'rule' with binding 'rule-bound' denied request: no";
    assert.deepEqual(error.details?.causes, [{ message }]);
  });

  it('lets pass what all of its validations allow, and compares old and new', async () => {
    await policy('rule', {
      validations: [
        { expression: "request.operation == 'CREATE' || object.data.size == oldObject.data.size" },
        { expression: "has(object.data) && 'size' in object.data" },
      ],
    });
    await bind('rule');
    const made = await create({ size: '1' });
    await admin.update(core.configmaps, { ...made, data: { size: '1', more: 'x' } });
    await assert.rejects(
      admin.update(core.configmaps, {
        ...made,
        metadata: { name: made.metadata.name, namespace: 'space' },
        data: { size: '2' },
      }),
      refused(
        422,
        denied(
          'rule',
          "failed expression: request.operation == 'CREATE' || object.data.size == oldObject.data.size",
        ),
      ),
    );
  });

  it('computes variables from each other, only where they are read, and once', async () => {
    await policy('rule', {
      variables: [
        { name: 'size', expression: 'object.data.size' },
        { name: 'doubled', expression: 'variables.size + variables.size' },
        { name: 'broken', expression: 'object.data.none' },
      ],
      validations: [
        { expression: "variables.doubled == 'aa'", messageExpression: "'got ' + variables.doubled" },
        { expression: "variables.size == 'a' || variables.broken == 'x'" },
      ],
    });
    await bind('rule');
    await create({ size: 'a' });
    await assert.rejects(create({ size: 'b' }), refused(422, denied('rule', 'got bb')));
  });

  it('counts only where its conditions hold', async () => {
    await policy('rule', {
      matchConditions: [
        { name: 'marked', expression: "has(object.metadata.labels) && 'mark' in object.metadata.labels" },
        { name: 'not-root', expression: "request.userInfo.username != 'root'" },
      ],
      validations: [{ expression: 'false' }],
    });
    await bind('rule');
    await create();
    await assert.rejects(
      create({}, { labels: { mark: 'x' } }),
      refused(422, denied('rule', 'failed expression: false')),
    );
    const root = test.server.clientFor({ name: 'root', groups: [] });
    await root.create(core.configmaps, map({}, { labels: { mark: 'x' } }));
  });

  it('is passed over when it fails and its failures are to be ignored', async () => {
    await policy('rule', {
      failurePolicy: 'Ignore',
      validations: [
        { expression: "object.data.none == 'x'" },
        { expression: "object.data.size == 'a'", message: 'no' },
      ],
    });
    await bind('rule');
    await create({ size: 'a' });
    await assert.rejects(create({ size: 'b' }), refused(422, denied('rule', 'no')));
  });

  it('warns and notes where it is bound so', async () => {
    await policy('rule', {
      validations: [{ expression: 'false', message: 'no' }],
      auditAnnotations: [
        { key: 'size', valueExpression: "'is ' + object.data.size" },
        { key: 'none', valueExpression: 'null' },
      ],
    });
    await bind('rule', { validationActions: ['Warn', 'Audit'] });
    await create({ size: 'a' });
    assert.deepEqual(warnings, [
      "Validation failed for ValidatingAdmissionPolicy 'rule' with binding 'rule-bound': no",
    ]);
    assert.deepEqual(
      JSON.parse(annotations.get('validation.policy.admission.k8s.io/validation_failure') ?? ''),
      [
        {
          message: 'no',
          policy: 'rule',
          binding: 'rule-bound',
          expressionIndex: 0,
          validationActions: ['Warn', 'Audit'],
        },
      ],
    );
    assert.equal(annotations.get('rule/size'), 'is a');
    assert.equal(annotations.has('rule/none'), false);
  });

  it('is matched by rules, exclusions, selectors and names, of itself and of its binding', async () => {
    await policy('rule', {
      matchConstraints: {
        resourceRules: [configMaps],
        excludeResourceRules: [{ ...configMaps, resourceNames: ['free'] }],
        objectSelector: { matchLabels: { mark: 'x' } },
      },
      validations: [{ expression: 'false' }],
    });
    await bind('rule', { matchResources: { namespaceSelector: { matchLabels: { team: 'blue' } } } });
    const marked = { labels: { mark: 'x' } };
    await create();
    await create({}, { ...marked, name: 'free' });
    await admin.create(core.namespaces, { metadata: { name: 'red', labels: { team: 'red' } } });
    await create({}, { ...marked, namespace: 'red' });
    await assert.rejects(create({}, marked), refused(422, denied('rule', 'failed expression: false')));
  });

  it('is changed and unbound at once', async () => {
    for (let i = 0; i < 10; i++) {
      await policy('rule', { validations: [{ expression: 'false' }] });
      await bind('rule');
      await assert.rejects(create(), refused(422, /denied request/));
      const now = await admin.get(policies, 'rule');
      await admin.update(policies, { ...now, spec: { ...now.spec, validations: [{ expression: 'true' }] } });
      await create();
      await admin.delete(bindings, 'rule-bound');
      await admin.delete(policies, 'rule');
    }
  });

  it('runs out of its budget', async () => {
    const lists = Array.from({ length: 40 }, (_, i) => `"${i}"`).join(', ');
    const all = `[${lists}]`;
    await policy('rule', {
      variables: [{ name: 'all', expression: all }],
      validations: Array.from({ length: 200 }, () => ({
        expression: 'variables.all.all(a, variables.all.all(b, variables.all.all(c, a + b + c != "x")))',
      })),
    });
    await bind('rule');
    await assert.rejects(
      create(),
      refused(
        422,
        denied(
          'rule',
          'validation failed due to running out of cost budget, no further validation rules will be run',
        ),
      ),
    );
  });
});

describe('parameters of a policy', () => {
  const limits = (name: string, max: string, metadata: ConfigMap['metadata'] = {}) =>
    admin.create(core.configmaps, { metadata: { name, namespace: 'params', ...metadata }, data: { max } });
  before(async () => {
    await admin.create(core.namespaces, { metadata: { name: 'params' } });
  });
  const spec: ValidatingAdmissionPolicySpec = {
    paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
    matchConstraints: { resourceRules: [{ ...configMaps, apiGroups: ['apps'], resources: ['deployments'] }] },
    validations: [
      {
        expression: 'params == null || object.spec.replicas <= int(params.data.max)',
        messageExpression: "'at most ' + params.data.max + ' by ' + params.kind + ' ' + params.metadata.name",
      },
    ],
  };
  const deploy = (replicas: number) => {
    const labels = { a: 'b' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    return admin.create(apps.deployments, {
      metadata: { name: `d-${count++}`, namespace: 'space' },
      spec: { replicas, selector: { matchLabels: labels }, template },
    });
  };
  const refusal = (message: string): RegExp =>
    new RegExp(`denied request: ${message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);

  it('are found by name, also when they were made a moment ago', async () => {
    await policy('rule', spec);
    await bind('rule', { paramRef: { name: 'small', namespace: 'params', parameterNotFoundAction: 'Deny' } });
    const missing =
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction';
    await assert.rejects(deploy(1), refused(422, refusal(missing)));
    await limits('small', '2');
    await deploy(2);
    await assert.rejects(deploy(3), refused(422, refusal('at most 2 by ConfigMap small')));
  });

  it('are found by selector, and all of them count', async () => {
    await limits('one', '5', { labels: { set: 's' } });
    await limits('two', '7', { labels: { set: 's' } });
    await policy('rule', spec);
    const selector = { matchLabels: { set: 's' } };
    await bind('rule', { paramRef: { selector, namespace: 'params', parameterNotFoundAction: 'Deny' } });
    await deploy(5);
    await assert.rejects(deploy(6), refused(422, refusal('at most 5 by ConfigMap one')));
  });

  it('may be missing where that is allowed', async () => {
    await policy('rule', spec);
    await bind('rule', { paramRef: { name: 'none', namespace: 'params', parameterNotFoundAction: 'Allow' } });
    await deploy(100);
  });

  it('come from the namespace of the object where none is named', async () => {
    await admin.create(core.configmaps, {
      metadata: { name: 'local', namespace: 'space' },
      data: { max: '4' },
    });
    await policy('rule', spec);
    await bind('rule', { paramRef: { name: 'local', parameterNotFoundAction: 'Deny' } });
    await assert.rejects(deploy(5), refused(422, refusal('at most 4 by ConfigMap local')));
  });

  it('are null where the binding names none, and of a kind that is served', async () => {
    await policy('rule', spec);
    await bind('rule');
    await deploy(100);
    await policy('other', { ...spec, paramKind: { apiVersion: 'rules.example.com/v1', kind: 'Limit' } });
    await bind('other');
    const unknown =
      "failed to configure policy: failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=Limit'";
    await assert.rejects(deploy(1), refused(422, refusal(unknown)));
  });
});
