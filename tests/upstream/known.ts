import type { Difference } from './compare.ts';

/** A difference that stays, with its reason; RESULTS.md is made from this list. */
export interface Known {
  readonly id: string;
  readonly reason: string;
  matches(difference: Difference): boolean;
}

const empty = new Set(['[]', '{}', 'absent']);

export const known: readonly Known[] = [
  {
    id: 'ServiceCIDR of the cluster',
    reason:
      'The API server makes it whole, with its finalizer and its condition; upstream leaves those to a controller, which does not run.',
    matches: ({ kind, group }) =>
      kind.endsWith(' ServiceCIDR') && /managedFields|finalizers only ours|status\.conditions/.test(group),
  },
  {
    id: 'addresses in a dry run',
    reason:
      'A dry run of a Service is refused where the write itself would be: an address that is taken. Upstream does not look in a dry run, and finds other faults first.',
    matches: ({ kind, group, upstream, ours }) =>
      kind === 'v1 Service' &&
      (/failed to allocate IP/.test(`${group}${upstream}${ours}`) || group.startsWith('code: 409 here 422')),
  },
  {
    id: 'proxy',
    reason: 'The proxy subresources are not served.',
    matches: ({ group, name }) => /\bproxy\b/.test(`${group} ${name}`),
  },
  {
    id: 'apply with the resourceVersion of nothing',
    reason:
      'An apply that names a resourceVersion means an object that exists: it does not create one; upstream does.',
    matches: ({ family, group }) =>
      family === 'apply' && group.includes('resourceVersion should not be set on objects to be created'),
  },
  {
    id: 'owner of a FlowSchema’s condition',
    reason:
      'Upstream applies the condition on the server, here it is a status update: manager and operation differ.',
    matches: ({ kind, group }) => kind.endsWith(' FlowSchema') && group.includes('managedFields'),
  },
  {
    id: 'generation of a DaemonSet’s template',
    reason:
      'Upstream counts the annotation in which it keeps the generation of the template as the writer’s; here it is the server’s.',
    matches: ({ kind, group }) =>
      kind.endsWith(' DaemonSet') && /managedFields|template\.generation/.test(group),
  },
  {
    id: 'owners of fields of features that are off',
    reason: 'Upstream counts a field as owned that it then drops, as its feature is off.',
    matches: ({ group }) => /managedFields.*f:stopSignal only upstream$/.test(group),
  },
  {
    id: 'owners of null',
    reason:
      'Go writes null for a list or map that is not set, and upstream counts it as owned; here it is not written.',
    matches: ({ group }) => /managedFields(\[\]\.fieldsV1(\.f:\w+)?)? only upstream$/.test(group),
  },
  {
    id: 'aggregation',
    reason:
      "Aggregated APIs are not served: registrations are stored with a warning, nobody reports on their services or registers this server's own kinds.",
    matches: ({ kind, group, upstream, ours }) =>
      kind === 'apiregistration.k8s.io/v1 APIService' &&
      (/^(body: status(\.conditions)? |warning extra: aggregated APIs|body: (items|rows)( |\[\])|body: metadata\.(continue|remaining))/.test(
        group,
      ) ||
        /Local|ServiceNotFound|Available/.test(`${upstream}${ours}`)),
  },
  {
    id: 'generation of dropped fields',
    reason:
      'Upstream counts a change of which nothing is stored: empty texts, parts of schemas that say nothing, fields of features that are off.',
    matches: ({ kind, group }) =>
      / (ResourceSlice|CustomResourceDefinition|MutatingWebhookConfiguration)$/.test(kind) &&
      group === 'body: metadata.generation differs',
  },
  {
    id: 'status of policies',
    reason:
      "Here the API server checks the types of a policy's expressions and reports on it; upstream's controller manager does, which does not run.",
    matches: ({ kind, group, ours }) =>
      kind.endsWith(' ValidatingAdmissionPolicy') &&
      (/status\.(observedGeneration|typeChecking) only ours$/.test(group) ||
        (group.includes('managedFields') && ours.includes('validatingadmissionpolicy-status'))),
  },
  {
    id: 'names of services of webhooks',
    reason: 'Upstream takes name and namespace of a service for each other when it says which is missing.',
    matches: ({ kind, group }) =>
      kind.endsWith('WebhookConfiguration') &&
      /^cause (missing|extra): webhooks\[\]\.clientConfig\.service\.name(space)?: Required value$/.test(
        group,
      ),
  },
  {
    id: 'null in messages',
    reason: 'Go prints null for a required list that is not set; here it is empty from its decoding on.',
    matches: ({ group }) =>
      /^cause text: (spec\.versions|spec\.nodeSelector\.nodeSelectorTerms): Invalid value: null: /.test(
        group,
      ),
  },
  {
    id: 'pace of finalizers',
    reason:
      'Custom resources without objects are deleted at once here, and later upstream: an answer shows either.',
    matches: ({ kind, group, name }) =>
      kind.endsWith(' CustomResourceDefinition') &&
      name.endsWith(' life') &&
      /^body: (metadata\.finalizers|status\.conditions\[\]\.(message|reason|status)) differs$/.test(group),
  },
  {
    id: 'words of the strategic patch converter',
    reason:
      'A strategic patch whose result has a wrong type is refused as by JSON and merge patches; upstream has a converter with words of its own there.',
    matches: ({ group, name }) =>
      group.startsWith('cause text: patch: ') && name.endsWith('strategic-merge-patch'),
  },
  {
    id: 'patch without apiVersion',
    reason:
      'A patch that takes apiVersion away is refused alike; upstream adds warnings of its internal type, in which no field is known.',
    matches: ({ group }) => /^warning missing: unknown field \\?"/.test(group),
  },
  {
    id: 'storage error',
    reason: 'A conflict says what does not match; upstream adds code and key of its storage.',
    matches: ({ group }) => group.includes('StorageError: invalid object'),
  },
  {
    id: 'versions in texts',
    reason: 'Each server counts its own versions; only their numbers differ.',
    matches: ({ group }) => group.includes('the ResourceVersion in the precondition (#)'),
  },
  {
    id: 'words of YAML and protobuf readers',
    reason: 'Broken YAML and protobuf are refused with the words of the reader used here.',
    matches: ({ name }) => /(verbs bad yaml body|apply bad yaml| protobuf)$/.test(name),
  },
  {
    id: 'resourceVersion of an update',
    reason: 'Upstream prints the missing resourceVersion as 0x0 or 0, by the version of its store.',
    matches: ({ group }) =>
      group === 'cause text: metadata.resourceVersion: Invalid value: #: must be specified for an update',
  },
  {
    id: 'objects of upstream itself',
    reason: 'Lists hold what each server makes for itself at its start, and ages of that moment.',
    matches: ({ group }) =>
      /^body: (items|rows) differs$|rows\[\]\.cells\[\] differs$|items\[\]\.description differs|^body: items\[\] only (ours|upstream): (cloudless|kubeadm|system):|^body: items\[\]\.rules differs/.test(
        group,
      ),
  },
  {
    id: 'mutating admission policies',
    reason: 'They are stored with a warning that they are not applied.',
    matches: ({ group }) =>
      group.startsWith('warning extra: mutating admission policies are not applied yet'),
  },
  {
    id: 'column descriptions',
    reason: 'Descriptions of Table columns are our own words; upstream quotes its API documentation.',
    matches: ({ group }) => /^body: (\[\]\.object\.)?columnDefinitions\[\]\.description differs$/.test(group),
  },
  {
    id: 'null',
    reason:
      'Go writes null for a time, list or map that is not set and has no `omitempty`; here a time is left out, a list or map is empty. Clients read both alike.',
    matches: ({ upstream, ours }) => upstream === 'null' && empty.has(ours),
  },
  {
    id: 'node ports of load balancers',
    reason:
      '`allocateLoadBalancerNodePorts` that is not set means false here: node ports only where asked for.',
    matches: ({ kind, group }) =>
      kind === 'v1 Service' &&
      /body: (items\[\]\.|rows\[\]\.object\.|\[\]\.object\.)?spec\.(allocateLoadBalancerNodePorts|ports\[\]\.nodePort|healthCheckNodePort)/.test(
        group,
      ),
  },
  {
    id: 'status of validating policies',
    reason:
      'The server writes it itself, where upstream leaves it to the controllers, which do not run here.',
    matches: ({ kind, group }) =>
      kind.endsWith(' ValidatingAdmissionPolicy') &&
      /status\.(observedGeneration|typeChecking) only ours|managedFields differs/.test(group),
  },
  {
    id: 'first unknown field',
    reason:
      'Of several unknown fields of one struct upstream names whichever its map gives first; here all are named.',
    matches: ({ group, upstream, ours }) =>
      group.startsWith('message: failed to create typed patch object') &&
      upstream.includes('field not declared in schema') &&
      ours.includes('errors:'),
  },
  {
    id: 'rights of nodes',
    reason: "Nodes read what their network part needs, which upstream gives to kube-proxy's own account.",
    matches: ({ family, name, group }) =>
      family === 'access' && name.includes(' access node ') && group.startsWith('code: 403 here 200'),
  },
  {
    id: 'order of rules',
    reason:
      'Upstream goes through bindings in the order of a map, so that lists of rules and reasons change from run to run.',
    matches: ({ name, group }) =>
      /^access (rules of|self access to path)/.test(name) &&
      /body: status\.(nonResource|resource|reason)/.test(group),
  },
  {
    id: 'version of the program',
    reason: 'Each server says how it was built.',
    matches: ({ name, group }) =>
      name.endsWith(' /version') && /^body: (compiler|gitCommit|gitTreeState|goVersion) differs$/.test(group),
  },
  {
    id: 'health checks',
    reason: 'Each server checks its own parts.',
    matches: ({ name, group }) =>
      name === 'GET /readyz?verbose' ||
      (name.endsWith(' /') &&
        /^body: paths\[\] only \w+: \/(healthz|livez|readyz|metrics|flagz|statusz|logs|debug|version|openid|openapi|configz)/.test(
          group,
        )),
  },
  {
    id: 'document hashes',
    reason: 'Hashes in the index of OpenAPI documents differ with their contents.',
    matches: ({ name }) => name === 'GET /openapi/v3',
  },
  {
    id: 'node ports in dry runs',
    reason:
      'A dry run refuses a node port out of range as the write itself does; upstream only does the latter.',
    matches: ({ kind, group }) =>
      kind === 'v1 Service' &&
      /^code: 20\d here 422: spec\.ports\[\]\.nodePort: .*not in the valid range/.test(group),
  },
  {
    id: 'warnings of a replication controller',
    reason: 'An update is warned of what it asks for; upstream looks at the old template there.',
    matches: ({ kind, group }) => kind === 'v1 ReplicationController' && group.startsWith('warning '),
  },
  {
    id: 'bindings that cannot be',
    reason:
      'A binding to something that is no node is refused as invalid; upstream answers 500 with the same words.',
    matches: ({ kind, group }) => kind === 'v1 Pod' && /^code: 500 here 422: +target\./.test(group),
  },
];
