import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pathRequest, resourceRequest } from '../testing/attributes.ts';
import { extentBy, type PolicyRule, readPolicy } from './policy.ts';

const head = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy' };
const jo = { name: 'jo', groups: ['devs'] };

describe('an audit policy', () => {
  const at = { group: 'apps', namespace: 'n', name: 'd' };
  const scale = resourceRequest(jo, 'update', 'deployments', { ...at, subresource: 'scale' });
  const deployment = resourceRequest(jo, 'get', 'deployments', at);
  const path = pathRequest(jo, 'get', '/healthz/etcd');
  const matches: Array<[Partial<PolicyRule>, typeof scale, boolean]> = [
    [{}, scale, true],
    [{ users: ['jo'] }, scale, true],
    [{ users: ['mo'] }, scale, false],
    [{ userGroups: ['ops', 'devs'] }, scale, true],
    [{ userGroups: ['ops'] }, scale, false],
    [{ verbs: ['update'] }, scale, true],
    [{ verbs: ['*'] }, scale, false],
    [{ namespaces: ['n'] }, scale, true],
    [{ namespaces: [''] }, scale, false],
    [{ namespaces: ['n'] }, path, false],
    [{ resources: [{ group: 'apps' }] }, scale, true],
    [{ resources: [{ group: '*' }] }, scale, true],
    [{ resources: [{ group: '' }] }, scale, false],
    [{ resources: [{ group: 'apps', resources: ['deployments'] }] }, scale, false],
    [{ resources: [{ group: 'apps', resources: ['deployments'] }] }, deployment, true],
    [{ resources: [{ group: 'apps', resources: ['deployments/scale'] }] }, scale, true],
    [{ resources: [{ group: 'apps', resources: ['deployments/*'] }] }, scale, true],
    [{ resources: [{ group: 'apps', resources: ['deployments/*'] }] }, deployment, true],
    [{ resources: [{ group: 'apps', resources: ['*/scale'] }] }, scale, true],
    [{ resources: [{ group: 'apps', resources: ['*/scale'] }] }, deployment, false],
    [{ resources: [{ group: 'apps', resources: ['*'] }] }, scale, true],
    [{ resources: [{ group: 'apps', resources: ['*'], resourceNames: ['e'] }] }, scale, false],
    [{ nonResourceURLs: ['/healthz*'] }, path, true],
    [{ nonResourceURLs: ['/healthz'] }, path, false],
    [{ nonResourceURLs: ['*'] }, path, true],
    [{ nonResourceURLs: ['*'] }, scale, false],
  ];
  for (const [rule, attributes, expected] of matches)
    it(`${expected ? 'takes' : 'leaves'} ${attributes.path || `${attributes.verb} ${attributes.resource}/${attributes.subresource}`} by ${JSON.stringify(rule)}`, () => {
      const extentOf = extentBy({ ...head, rules: [{ level: 'Metadata', ...rule }] });
      assert.equal(extentOf(attributes).level, expected ? 'Metadata' : 'None');
    });

  it('goes by the first rule, with the stages of both and its own say on managedFields', () => {
    const extentOf = extentBy({
      ...head,
      omitStages: ['RequestReceived'],
      omitManagedFields: true,
      rules: [
        { level: 'None', users: ['mo'] },
        { level: 'Request', omitStages: ['Panic'], omitManagedFields: false },
        { level: 'RequestResponse' },
      ],
    });
    const { level, omitStages, omitManagedFields } = extentOf(scale);
    assert.deepEqual(
      [level, [...omitStages], omitManagedFields],
      ['Request', ['RequestReceived', 'Panic'], false],
    );
  });

  const broken: Array<[unknown, string]> = [
    ['x', 'expected an object of kind Policy'],
    [
      { kind: 'Policy' },
      'unknown group version field , Kind=Policy in policy; expected audit.k8s.io/v1, Kind=Policy',
    ],
    [head, 'loaded illegal policy with 0 rules'],
    [{ ...head, rules: {} }, 'rules: Invalid value: {}: must be a list'],
    [{ ...head, rules: [1] }, 'rules[0]: Invalid value: 1: must be an object'],
    [{ ...head, rules: [{}] }, 'rules[0].level: Required value'],
    [
      { ...head, rules: [{ level: 'All' }] },
      'rules[0].level: Unsupported value: "All": supported values: "Metadata", "None", "Request", "RequestResponse"',
    ],
    [
      { ...head, rules: [{ level: 'None', verbs: 'get' }] },
      'rules[0].verbs: Invalid value: "get": must be a list of strings',
    ],
    [
      { ...head, rules: [{ level: 'None', nonResourceURLs: ['x', '/a*b'] }] },
      `rules[0].nonResourceURLs[0]: Invalid value: "x": non-resource URL rules must begin with a '/' character; rules[0].nonResourceURLs[1]: Invalid value: "/a*b": non-resource URL wildcards '*' must be the final character of the rule`,
    ],
    [
      { ...head, rules: [{ level: 'None', namespaces: ['n'], nonResourceURLs: ['/x'] }] },
      'rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs',
    ],
    [
      { ...head, rules: [{ level: 'None', resources: [{ resourceNames: ['a'] }] }] },
      'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one resource',
    ],
    [
      { ...head, omitStages: ['Later'], rules: [{ level: 'None' }] },
      'omitStages[0]: Invalid value: "Later": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic',
    ],
  ];
  for (const [document, message] of broken)
    it(`is refused: ${message.slice(0, 60)}`, () => {
      assert.throws(() => readPolicy(document, () => {}), { name: 'AuditPolicyError', message });
    });

  it('is told of fields that mean nothing', () => {
    const told: string[] = [];
    readPolicy({ ...head, rules: [{ level: 'None', verb: ['get'] }] }, (text) => told.push(text));
    assert.deepEqual(told, ['unknown field "rules[0].verb"']);
  });
});
