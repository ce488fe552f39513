import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { admissionregistration, apps, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type {
  MutatingAdmissionPolicyBindingSpec,
  MutatingAdmissionPolicySpec,
  Mutation,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import { refused } from '../../../testing/hooked-server.ts';
import { startTestServer, type TestServer } from '../../../testing/test-server.ts';
import { mutatingAdmissionPolicies } from './index.ts';

const { mutatingadmissionpolicies: policies, mutatingadmissionpolicybindings: bindings } =
  admissionregistration;

let test: TestServer;
let admin: KubeClient;
before(async () => {
  test = await startTestServer({
    authorizer: () => ({
      authorizer: { authorize: () => ({ verdict: 'allow', reason: '' }) },
      ready: Promise.resolve(),
    }),
    admission: (context, authorizer) => [mutatingAdmissionPolicies({ ...context, authorizer })],
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
});

const apply = (expression: string): Mutation => ({
  patchType: 'ApplyConfiguration',
  applyConfiguration: { expression },
});
const patch = (expression: string): Mutation => ({ patchType: 'JSONPatch', jsonPatch: { expression } });

const rule = (group: string, resource: string) => ({
  apiGroups: [group],
  apiVersions: ['v1'],
  operations: ['CREATE', 'UPDATE'],
  resources: [resource],
});
async function policy(
  name: string,
  mutations: Mutation[],
  spec: MutatingAdmissionPolicySpec = {},
): Promise<void> {
  await admin.create(policies, {
    metadata: { name },
    spec: {
      matchConstraints: { resourceRules: [rule('apps', 'deployments'), rule('', 'configmaps')] },
      reinvocationPolicy: 'Never',
      mutations,
      ...spec,
    },
  });
}
const bind = async (
  policyName: string,
  spec: Partial<MutatingAdmissionPolicyBindingSpec> = {},
): Promise<void> => {
  await admin.create(bindings, { metadata: { name: `${policyName}-bound` }, spec: { policyName, ...spec } });
};
const rules = async (...args: Parameters<typeof policy>): Promise<void> => {
  await policy(...args);
  await bind(args[0]);
};

type Containers = NonNullable<NonNullable<Deployment['spec']>['template']['spec']>['containers'];
let count = 0;
function deployment(labels: Record<string, string> = {}, containers: Containers = []): Deployment {
  return {
    metadata: { name: `deployment-${count++}`, namespace: 'space', labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'x' } },
      template: {
        metadata: { labels: { app: 'x' } },
        spec: {
          containers: [{ name: 'a', image: 'a:1' }, ...containers],
          volumes: [{ name: 'x', emptyDir: {} }],
        },
      },
    },
  };
}
const create = (given: Deployment = deployment()): Promise<Deployment> =>
  admin.create(apps.deployments, given, { dryRun: true });
const map = async (data: Record<string, string> = {}): Promise<Record<string, string>> => {
  const metadata = { name: `map-${count++}`, namespace: 'space' };
  return (await admin.create(core.configmaps, { metadata, data }, { dryRun: true })).data ?? {};
};
const inPod = (fields: string): string =>
  `Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{${fields}}}}}`;
const names = (items: ReadonlyArray<{ name?: string }> | undefined): string[] =>
  (items ?? []).map(({ name }) => name ?? '');
const podOf = ({ spec }: Deployment) => spec?.template.spec;

describe('ApplyConfiguration', () => {
  it('adds to and changes items of lists by their keys', async () => {
    await rules('volumes', [
      apply(
        inPod(`volumes: [
          Object.spec.template.spec.volumes{name: "y", hostPath: Object.spec.template.spec.volumes.hostPath{path: "/a"}}
        ]`),
      ),
      apply(inPod(`volumes: [Object.spec.template.spec.volumes{name: "y", emptyDir: null}]`)),
      apply(
        inPod(`containers: [Object.spec.template.spec.containers{
          name: "a", env: [Object.spec.template.spec.containers.env{name: "E", value: string(object.spec.replicas)}]
        }]`),
      ),
    ]);
    const pod = podOf(await create());
    assert.deepEqual(
      pod?.volumes?.map(({ name, hostPath }) => [name, hostPath]),
      [
        ['x', undefined],
        // Defaults count after every mutation.
        ['y', { path: '/a', type: '' }],
      ],
    );
    assert.equal(pod?.containers[0]?.image, 'a:1');
    assert.deepEqual(pod?.containers[0]?.env, [{ name: 'E', value: '1' }]);
  });

  it('merges repeated items into one, and leaves them alone where it says nothing of them', async () => {
    const env = [
      { name: 'E', value: 'a' },
      { name: 'E', value: 'b' },
      { name: 'F', value: 'f' },
    ];
    await rules('scale', [apply('Object{spec: Object.spec{replicas: 3}}')]);
    const scaled = await create(deployment({}, [{ name: 'b', image: 'b', env }]));
    assert.equal(scaled.spec?.replicas, 3);
    assert.deepEqual(podOf(scaled)?.containers[1]?.env, env);
    await rules('set', [
      apply(
        inPod(`containers: [Object.spec.template.spec.containers{
          name: "b", env: [Object.spec.template.spec.containers.env{name: "E", value: "c"}]
        }]`),
      ),
    ]);
    const set = await create(deployment({}, [{ name: 'b', image: 'b', env }]));
    assert.deepEqual(podOf(set)?.containers[1]?.env, [{ name: 'E', value: 'c' }, env[2]]);
  });

  const refusals: Array<[string, string, string]> = [
    [
      'a change of something atomic',
      'Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {"l": "v"}}}}',
      'error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector',
    ],
    [
      'something atomic deep inside',
      inPod('containers: [Object.spec.template.spec.containers{name: "a", command: ["x"]}]'),
      'error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.template.spec.containers[0].command',
    ],
    [
      'a type that is not that of its place',
      'Object{spec: Object.specx{replicas: 1}}',
      'type mismatch: unexpected type name "Object.specx", expected "Object.spec", which matches field name path from root Object type',
    ],
    [
      'an unknown field',
      'Object{spec: Object.spec{replicasx: 1}}',
      'error applying patch: failed to convert patch object to typed object: .spec.replicasx: field not declared in schema',
    ],
    [
      'a value of another type',
      'Object{spec: Object.spec{replicas: "1"}}',
      'error applying patch: failed to convert patch object to typed object: .spec.replicas: expected numeric (int or float), got string',
    ],
    [
      'an expression that fails',
      'Object{spec: Object.spec{replicas: object.spec.missing}}',
      "expression 'Object{spec: Object.spec{replicas: object.spec.missing}}' resulted in error: no such key: missing",
    ],
  ];
  for (const [what, expression, why] of refusals)
    it(`refuses ${what}`, async () => {
      await rules('wrong', [apply(expression)]);
      const text = `policy 'wrong' with binding 'wrong-bound' denied request: ${why}`;
      const error = await create().then(
        () => assert.fail('it was accepted'),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof StatusError);
      assert.deepEqual([error.code, error.reason, error.message], [403, 'Invalid', text]);
      assert.deepEqual(error.details?.causes, [{ message: text }]);
    });
});

describe('JSONPatch', () => {
  const label = (value: string): string =>
    `[JSONPatch{op: "add", path: "/metadata/labels", value: ${value}}]`;
  const cases: Array<[string, string, (changed: Deployment) => unknown, unknown]> = [
    [
      'stops at a test that fails',
      `[JSONPatch{op: "test", path: "/spec/replicas", value: 100}, JSONPatch{op: "replace", path: "/spec/replicas", value: 3}]`,
      ({ spec }) => spec?.replicas,
      1,
    ],
    [
      'goes on after one that holds',
      `[JSONPatch{op: "test", path: "/spec/replicas", value: 1}, JSONPatch{op: "replace", path: "/spec/replicas", value: 3}]`,
      ({ spec }) => spec?.replicas,
      3,
    ],
    [
      'removes items',
      '[JSONPatch{op: "remove", path: "/spec/template/spec/containers/1"}]',
      (changed) => names(podOf(changed)?.containers),
      ['a', 'c'],
    ],
    [
      'moves items to the end',
      '[JSONPatch{op: "move", from: "/spec/template/spec/containers/0", path: "/spec/template/spec/containers/-"}]',
      (changed) => names(podOf(changed)?.containers),
      ['b', 'c', 'a'],
    ],
    [
      'copies members',
      '[JSONPatch{op: "copy", from: "/metadata/labels/one", path: "/metadata/labels/two"}]',
      ({ metadata }) => metadata.labels,
      { one: '1', two: '1' },
    ],
    [
      'replaces a member that is missing',
      '[JSONPatch{op: "replace", path: "/metadata/annotations", value: {"a": "b"}}]',
      ({ metadata }) => metadata.annotations,
      { a: 'b' },
    ],
    [
      'takes objects as values',
      `[JSONPatch{op: "add", path: "/spec/template/spec/containers/-", value: Object.spec.template.spec.containers{
        name: "d", image: "d", ports: [Object.spec.template.spec.containers.ports{containerPort: 8080}]}}]`,
      (changed) => podOf(changed)?.containers[3]?.ports,
      [{ containerPort: 8080, protocol: 'TCP' }],
    ],
    [
      'lets operations be read',
      label(`{"op": JSONPatch{op: "a"}.op, "path": JSONPatch{path: "b"}.path, "from": JSONPatch{from: "c"}.from,
        "value": string(JSONPatch{value: "d"}.value)}`),
      ({ metadata }) => metadata.labels,
      { op: 'a', path: 'b', from: 'c', value: 'd' },
    ],
    [
      'tells fields that are set',
      label(`{"set": string(has(JSONPatch{op: "a"}.op)), "value": string(has(JSONPatch{value: 1}.value)),
        "empty": string(has(JSONPatch{}.op)), "none": string(has(JSONPatch{}.value))}`),
      ({ metadata }) => metadata.labels,
      { set: 'true', value: 'true', empty: 'false', none: 'false' },
    ],
    [
      'compares operations',
      label(`{"empty": string(JSONPatch{} == JSONPatch{}), "same": string(JSONPatch{op: "a", value: 1} == JSONPatch{op: "a", value: 1}),
        "op": string(JSONPatch{op: "a"} == JSONPatch{op: "b"}), "value": string(JSONPatch{value: "1"} == JSONPatch{value: 1})}`),
      ({ metadata }) => metadata.labels,
      { empty: 'true', same: 'true', op: 'false', value: 'false' },
    ],
  ];
  for (const [what, expression, seen, expected] of cases)
    it(what, async () => {
      await rules('patch', [patch(expression)]);
      const containers = ['b', 'c'].map((name) => ({ name, image: name }));
      assert.deepEqual(seen(await create(deployment({ one: '1' }, containers))), expected);
    });

  it('escapes keys', async () => {
    await rules('escape', [
      patch('[JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("a~/b"), value: "v"}]'),
    ]);
    await assert.rejects(map({ x: 'y' }), refused(422, /data\[a~\/b\]/));
  });

  const refusals: Array<[string, string, number, string]> = [
    [
      'what does not apply',
      '[JSONPatch{op: "replace", path: "/spec/template/spec/containers/-", value: {"name": "x"}}]',
      403,
      "policy 'wrong' with binding 'wrong-bound' denied request: JSON Patch: replace operation does not apply: doc is missing key: /spec/template/spec/containers/-: missing value",
    ],
    [
      'an unknown field',
      `[JSONPatch{op: "add", path: "/spec/template/spec/containers/-", value: Object.spec.template.spec.containers{
        name: "x", ports: [Object.spec.template.spec.containers.ports{containerPortZ: 8080}]}}]`,
      500,
      'Internal error occurred: strict decoding error: unknown field "spec.template.spec.containers[1].ports[0].containerPortZ"',
    ],
    [
      'an object of another type than its place has',
      `[JSONPatch{op: "add", path: "/spec/template/spec/containers/-", value: Object.spec.template.spec.containers{
        name: "x", ports: [Object.spec.template.spec.containers.portsZ{containerPort: 8080}]}}]`,
      403,
      'policy \'wrong\' with binding \'wrong-bound\' denied request: type mismatch: unexpected type name "Object.spec.template.spec.containers.portsZ", expected "Object.spec.template.spec.containers.ports", which matches field name path from root Object type',
    ],
    [
      'a name that is no text',
      '[JSONPatch{op: dyn(1), path: "/x"}]',
      403,
      "policy 'wrong' with binding 'wrong-bound' denied request: expression '[JSONPatch{op: dyn(1), path: \"/x\"}]' resulted in error: unexpected type int64 for JSONPatchType 'op' field",
    ],
    [
      'a map whose keys are no texts',
      '[JSONPatch{op: "add", path: "/metadata/labels", value: {1: "a"}}]',
      403,
      "policy 'wrong' with binding 'wrong-bound' denied request: JSONPath valueExpression evaluated to a type that could not marshal to JSON: unsupported type conversion from 'int' to string",
    ],
  ];
  for (const [what, expression, code, message] of refusals)
    it(`refuses ${what}`, async () => {
      await rules('wrong', [patch(expression)]);
      const error = await create().then(
        () => assert.fail('it was accepted'),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof StatusError);
      assert.deepEqual([error.code, error.message], [code, message]);
    });
});

describe('MutatingAdmissionPolicy', () => {
  const add = (key: string, value: string): Mutation =>
    patch(`[JSONPatch{op: "add", path: "/data/${key}", value: ${value}}]`);

  it('lets each mutation see what the one before made', async () => {
    await rules('both', [
      apply('Object{spec: Object.spec{replicas: object.spec.replicas + 100}}'),
      patch('[JSONPatch{op: "replace", path: "/spec/replicas", value: object.spec.replicas + 10}]'),
      apply('Object{spec: Object.spec{replicas: object.spec.replicas * 2}}'),
    ]);
    assert.equal((await create()).spec?.replicas, 222);
  });

  it('reads variables, params, the namespace and the request', async () => {
    const metadata = { name: 'param', namespace: 'space' };
    await admin.create(core.configmaps, { metadata, data: { greeting: 'hello' } });
    await policy(
      'inputs',
      [
        apply(`Object{data: {
          "variable": variables.twice, "param": params.data.greeting, "operation": dyn(request.operation),
          "team": dyn(namespaceObject.metadata.labels.team), "may": dyn(string(authorizer.group("").resource("pods").check("get").allowed()))
        }}`),
      ],
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        variables: [
          { name: 'once', expression: 'object.data.a' },
          { name: 'twice', expression: 'variables.once + variables.once' },
        ],
      },
    );
    await bind('inputs', { paramRef: { name: 'param', parameterNotFoundAction: 'Deny' } });
    assert.deepEqual(await map({ a: 'x' }), {
      a: 'x',
      variable: 'xx',
      param: 'hello',
      operation: 'CREATE',
      team: 'blue',
      may: 'true',
    });
    await admin.delete(core.configmaps, 'param', { namespace: 'space' });
    const missing =
      "policy 'inputs' with binding 'inputs-bound' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    await assert.rejects(map({ a: 'x' }), (error: StatusError) => {
      assert.deepEqual([error.code, error.reason, error.message], [403, 'Forbidden', missing]);
      return true;
    });
  });

  it('counts only where its match conditions hold', async () => {
    await rules('some', [add('seen', '"yes"')], {
      matchConditions: [{ name: 'wanted', expression: '"want" in object.data' }],
    });
    assert.deepEqual(await map({ want: '1' }), { want: '1', seen: 'yes' });
    assert.deepEqual(await map({ other: '1' }), { other: '1' });
  });

  it('passes over what fails under the failure policy Ignore', async () => {
    await rules('lenient', [add('a', 'object.missing'), add('b', '"b"')], { failurePolicy: 'Ignore' });
    assert.deepEqual(await map({ x: 'y' }), { x: 'y', b: 'b' });
  });

  it('asks a policy again that asks for it, after later ones changed the object', async () => {
    const grow = (key: string): Mutation =>
      apply(`Object{data: {"${key}": ("${key}" in object.data ? object.data.${key} : "") + "x"}}`);
    await rules('first', [grow('first')], { reinvocationPolicy: 'IfNeeded' });
    await rules('second', [grow('second')]);
    assert.deepEqual(await map({ a: 'b' }), { a: 'b', first: 'xx', second: 'x' });
  });

  it('changes updates and leaves deletions alone', async () => {
    const metadata = { name: 'updated', namespace: 'space' };
    const { metadata: stored } = await admin.create(core.configmaps, { metadata, data: { a: '1' } });
    await rules('old', [add('old', 'oldObject.data.a')], {
      matchConstraints: { resourceRules: [{ ...rule('', 'configmaps'), operations: ['UPDATE'] }] },
    });
    const updated = await admin.update(core.configmaps, { metadata: stored, data: { a: '2' } });
    assert.deepEqual(updated.data, { a: '2', old: '1' });
    await admin.delete(core.configmaps, 'updated', { namespace: 'space' });
  });

  const invalid: Array<[string, Mutation, string]> = [
    [
      'a result of another type',
      apply('"teapot"'),
      'spec.mutations[0].applyConfiguration.expression: Invalid value: "\\"teapot\\"": must evaluate to Object but got string',
    ],
    [
      'a part of an object',
      apply('Object.spec.metadata{}'),
      'must evaluate to Object but got Object.spec.metadata',
    ],
    [
      'operations that are none',
      patch('[{"op": "add"}]'),
      'must evaluate to list(JSONPatch) but got list(map(string, string))',
    ],
    [
      'an operation with a name that is no text',
      patch('[JSONPatch{op: 1}]'),
      "ERROR: <input>:1:14: expected type of field 'op' is 'string' but provided type is 'int'",
    ],
    ['an unknown field of an operation', patch('[JSONPatch{no: 1}]'), "undefined field 'no'"],
    ['a type that there is not', apply('Other{}'), "undeclared reference to 'Other' (in container '')"],
    ['a type that has no fields', apply('int{}'), "'int' is not a message type"],
  ];
  for (const [what, mutation, text] of invalid)
    it(`is refused with ${what}`, async () => {
      await assert.rejects(policy('invalid', [mutation]), (error: StatusError) => {
        assert.equal(error.code, 422);
        assert.ok(error.message.includes(text), error.message);
        return true;
      });
    });

  it('has its types only in mutations', async () => {
    await assert.rejects(
      policy('invalid', [apply('Object{}')], { variables: [{ name: 'v', expression: 'Object{}' }] }),
      refused(422, /undeclared reference to 'Object'/),
    );
  });
});
