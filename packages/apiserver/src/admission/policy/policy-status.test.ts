import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { admissionregistration, apiextensions, core, rbac } from '@cloudless/kube/resources';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { ValidatingAdmissionPolicy } from '@cloudless/kube/types/admissionregistration-v1';
import { type DefaultTestServer, startDefaultTestServer } from '../../testing/default-server.ts';
import { patchOf, startWebhookServer } from '../../testing/webhook-server.ts';
import { refused } from '../../testing/hooked-server.ts';

const { validatingadmissionpolicies: policies, validatingadmissionpolicybindings: bindings } =
  admissionregistration;

let cluster: DefaultTestServer;
before(async () => void (cluster = await startDefaultTestServer()));
after(() => cluster[Symbol.asyncDispose]());

const rule = {
  operations: ['CREATE'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['configmaps', 'pods'],
};
const policy = (name: string, spec: ValidatingAdmissionPolicy['spec']): ValidatingAdmissionPolicy => ({
  metadata: { name },
  spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
});

/** The policy once its present generation was looked at. */
async function checked(name: string): Promise<ValidatingAdmissionPolicy> {
  for (;;) {
    const found = await cluster.admin.get(policies, name);
    if ((found.status?.observedGeneration ?? 0) >= (found.metadata.generation ?? 0)) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the status of policies', () => {
  it('names what does not fit the kinds that their rules name', async () => {
    await cluster.admin.create(
      policies,
      policy('typed', {
        validations: [
          {
            expression: 'object.spec.nodeName == "a"',
            messageExpression: 'string(object.metadata.nonsense)',
          },
          { expression: 'object.metadata.name != ""' },
        ],
      }),
    );
    const { status } = await checked('typed');
    const warnings = status?.typeChecking?.expressionWarnings ?? [];
    assert.deepEqual(
      warnings.map(({ fieldRef }) => fieldRef),
      ['spec.validations[0].expression', 'spec.validations[0].messageExpression'],
    );
    assert.equal(
      warnings[0]?.warning,
      `/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'\n | object.spec.nodeName == "a"\n | ......^\n`,
    );
    assert.match(
      warnings[1]?.warning ?? '',
      /ConfigMap: .*undefined field 'nonsense'.*Pod: .*undefined field 'nonsense'/s,
    );
  });

  it('follows each change of the spec', async () => {
    await cluster.admin.create(
      policies,
      policy('changing', { validations: [{ expression: 'object.data.a == "x"' }] }),
    );
    const first = await checked('changing');
    assert.match(
      first.status?.typeChecking?.expressionWarnings?.[0]?.warning ?? '',
      /Pod: .*undefined field 'data'/s,
    );
    await cluster.admin.update(policies, {
      ...first,
      spec: { ...first.spec, validations: [{ expression: 'object.metadata.name != ""' }] },
    });
    const { status } = await checked('changing');
    assert.deepEqual([status?.typeChecking, status?.observedGeneration], [{}, 2]);
  });
});

describe('the right to name parameters', () => {
  it('is that to read them', async () => {
    const jo = cluster.as({ name: 'jo', groups: ['system:authenticated'] });
    await cluster.admin.create(rbac.clusterroles, {
      metadata: { name: 'policies' },
      rules: [{ apiGroups: ['admissionregistration.k8s.io'], resources: ['*'], verbs: ['*'] }],
    });
    await cluster.admin.create(rbac.clusterrolebindings, {
      metadata: { name: 'policies' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'policies' },
      subjects: [{ kind: 'User', name: 'jo', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    const spec = { paramKind: { apiVersion: 'v1', kind: 'Secret' }, validations: [{ expression: 'true' }] };
    await assert.rejects(
      jo.create(policies, policy('spy', spec)),
      refused(
        422,
        'ValidatingAdmissionPolicy.admissionregistration.k8s.io "spy" is invalid: spec.paramKind: Forbidden: user &{jo  [system:authenticated] map[]} must have "get" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)',
      ),
    );
    await cluster.admin.create(policies, policy('spy', spec));
    const binding = {
      metadata: { name: 'spy' },
      spec: {
        policyName: 'spy',
        validationActions: ['Deny'],
        paramRef: { name: 's', namespace: 'kube-system', parameterNotFoundAction: 'Allow' },
      },
    };
    await assert.rejects(
      jo.create(bindings, binding),
      refused(
        422,
        /spec.paramRef: Forbidden: user &\{jo  \[system:authenticated\] map\[\]\} does not have "get" permission on the object referenced by paramRef$/,
      ),
    );
  });
});

describe('custom kinds as parameters and objects', () => {
  const limits: Resource = {
    group: 'rules.example.com',
    version: 'v1',
    plural: 'limits',
    kind: 'Limit',
    namespaced: false,
  };

  it('are found as soon as the kind is served', async () => {
    const { admin } = cluster;
    await admin.create(
      policies,
      policy('limited', {
        paramKind: { apiVersion: 'rules.example.com/v1', kind: 'Limit' },
        matchConstraints: { resourceRules: [{ ...rule, resources: ['configmaps'] }] },
        validations: [
          {
            expression: 'object.data.size() <= params.spec.max',
            messageExpression: "'at most ' + string(params.spec.max)",
          },
        ],
      }),
    );
    await admin.create(bindings, {
      metadata: { name: 'limited' },
      spec: {
        policyName: 'limited',
        validationActions: ['Deny'],
        paramRef: { name: 'one', parameterNotFoundAction: 'Deny' },
      },
    });
    const create = (data: Record<string, string>) =>
      admin.create(core.configmaps, { metadata: { generateName: 'm-', namespace: 'default' }, data });
    await assert.rejects(
      create({ a: '' }),
      refused(422, /failed to find resource referenced by paramKind: 'rules.example.com\/v1, Kind=Limit'$/),
    );
    await admin.create(apiextensions.customresourcedefinitions, {
      metadata: { name: 'limits.rules.example.com' },
      spec: {
        group: 'rules.example.com',
        scope: 'Cluster',
        names: { plural: 'limits', kind: 'Limit' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', properties: { max: { type: 'integer' } } } },
              },
            },
          },
        ],
      },
    });
    for (;;) {
      try {
        await admin.create(limits, { metadata: { name: 'one' }, spec: { max: 1 } } as never);
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    await create({ a: '' });
    await assert.rejects(create({ a: '', b: '' }), refused(422, /denied request: at most 1$/));
  });

  it('are seen and changed by webhooks in the version that these ask for', async () => {
    const { admin } = cluster;
    await using hook = await startWebhookServer(cluster.pki);
    const { metadata } = await admin.get(apiextensions.customresourcedefinitions, 'limits.rules.example.com');
    const openAPIV3Schema = {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: { max: { type: 'integer' }, min: { type: 'integer', default: 7 } },
        },
      },
    };
    await admin.update(apiextensions.customresourcedefinitions, {
      metadata,
      spec: {
        group: 'rules.example.com',
        scope: 'Cluster',
        names: { plural: 'limits', kind: 'Limit' },
        versions: ['v1', 'v2'].map((name) => ({
          name,
          served: true,
          storage: name === 'v1',
          schema: { openAPIV3Schema },
        })),
      },
    });
    await admin.create(admissionregistration.mutatingwebhookconfigurations, {
      metadata: { name: 'limits' },
      webhooks: [
        {
          name: 'limits.example.com',
          clientConfig: hook.clientConfig,
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
          rules: [
            {
              operations: ['CREATE'],
              apiGroups: ['rules.example.com'],
              apiVersions: ['v1'],
              resources: ['limits'],
            },
          ],
        },
      ],
    });
    hook.answer(patchOf({ op: 'replace', path: '/spec', value: { max: 5, unknown: true } }));
    const v2 = { ...limits, version: 'v2' };
    let made: KubeObject | undefined;
    for (let i = 0; made === undefined; i++)
      made = await admin
        .create(v2, { metadata: { name: `two-${i}` }, spec: { max: 1 } } as never)
        .catch(() => new Promise<undefined>((resolve) => void setTimeout(() => resolve(undefined), 10)));
    const { kind, requestKind, object } = hook.reviews.at(-1)?.request ?? {};
    assert.deepEqual(
      [kind.version, requestKind.version, object.apiVersion],
      ['v1', 'v2', 'rules.example.com/v1'],
    );
    assert.equal(object.spec.min, 7);
    assert.deepEqual(
      [made.apiVersion, (made as { spec?: unknown }).spec],
      ['rules.example.com/v2', { max: 5, min: 7 }],
    );
  });
});
