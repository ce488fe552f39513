import type { Difference } from './compare.ts';

/** A difference that stays, with its reason; RESULTS.md is made from this list. */
export interface Known {
  readonly id: string;
  readonly reason: string;
  matches(difference: Difference): boolean;
}

/** Where a body stands: alone, in a list, a Table's row or a watch's event. */
const at = String.raw`^body: (?:\[\]\.(?:object\.)?)?(?:items\[\]\.|rows\[\]\.(?:object\.)?)?`;
const inBody = (rest: string): RegExp => new RegExp(at + rest);
/** A text in which an empty list or map is as none. */
const withoutEmpty = (text: string): string =>
  text.replace(/(Invalid value|Unsupported value): (?:null|\[\]|\{\})/g, '$1: none');
/** Whether of managedFields that upstream alone has, all are of lists that it writes as null. */
const ownsOnlyNulls = (fields: string): boolean =>
  [...fields.matchAll(/"f:(\w+)":\{\}/g)].every(([, name]) => nullLists.has(name as string)) &&
  /"f:\w+":\{\}/.test(fields);
const nullLists = new Set([
  'rules',
  'limits',
  'drivers',
  'topologyKeys',
  'requests',
  'endpoints',
  'ports',
  'currentMetrics',
  'conditions',
  'sources',
]);
/** Kinds of which each server makes objects for itself at its start. */
const selfMade =
  / (?:ClusterRole|ClusterRoleBinding|Role|RoleBinding|Namespace|PriorityClass|FlowSchema|PriorityLevelConfiguration|ServiceCIDR|IPAddress|Service|Endpoints|EndpointSlice|ServiceAccount|ConfigMap|Lease)$/;

export const known: readonly Known[] = [
  {
    id: 'ServiceCIDR of the cluster',
    reason:
      'The API server makes it whole, with its finalizer and its condition; upstream leaves those to a controller, which does not run.',
    matches: ({ kind, group }) =>
      kind.endsWith(' ServiceCIDR') && /managedFields|finalizers only ours|status\.conditions/.test(group),
  },
  {
    id: 'generation of dropped fields',
    reason:
      'Upstream counts a change of which nothing is stored: empty texts and lists, parts of schemas that say nothing, fields of features that are off.',
    matches: ({ kind, group, name, upstream, ours }) =>
      group === 'body: metadata.generation differs' &&
      Number(upstream) === Number(ours) + 1 &&
      (/ added (?:\[\]|\{\}|"")(?: |$)/.test(name) ||
        / (?:ResourceSlice|CustomResourceDefinition)$/.test(kind)),
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
    id: 'pace of finalizers',
    reason:
      'Custom resources without objects are deleted at once here, and later upstream: an answer shows either.',
    matches: ({ kind, group, name }) =>
      kind.endsWith(' CustomResourceDefinition') &&
      name.endsWith(' life') &&
      /^body: (?:metadata\.finalizers(?: differs|\[\] only)|status\.conditions\[\]\.(?:message|reason|status) differs|metadata\.managedFields)/.test(
        group,
      ),
  },
  {
    id: 'words of the strategic patch converter',
    reason:
      'A strategic patch whose result has a wrong type is refused as by JSON and merge patches; upstream has a converter with words of its own there.',
    matches: ({ group, name }) =>
      group.startsWith('cause text: patch: ') && name.endsWith('strategic-merge-patch'),
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
    id: 'node ports in dry runs',
    reason:
      'A dry run refuses a node port out of range as the write itself does; upstream only does the latter.',
    matches: ({ kind, group }) =>
      kind === 'v1 Service' &&
      /^code: 20\d here 422: spec\.ports\[\]\.nodePort: .*not in the valid range/.test(group),
  },
  {
    id: 'bindings that cannot be',
    reason:
      'A binding to something that is no node is refused as invalid; upstream answers 500 with the same words.',
    matches: ({ kind, group }) => kind === 'v1 Pod' && /^code: 500 here 422: +target\./.test(group),
  },
  {
    id: 'proxy',
    reason: 'The proxy subresources are not served.',
    matches: ({ group, name }) => /(?:: |\/)proxy$/.test(group) || name.endsWith(' read get proxy'),
  },
  {
    id: 'componentstatuses',
    reason: 'Component statuses, deprecated since 1.19, are not served.',
    matches: ({ group }) => group.endsWith('resources[] only upstream: componentstatuses'),
  },
  {
    id: 'empty lists and maps',
    reason:
      'An empty list or map is as none here: a rule that looks whether there is one finds none, and texts show null for it.',
    matches: ({ group, upstream, ours, name }) =>
      (group.startsWith('cause text: ') && withoutEmpty(upstream) === withoutEmpty(ours)) ||
      // The same cause once more: upstream has it twice.
      (group.startsWith('cause missing: ') &&
        withoutEmpty(ours).includes(withoutEmpty(upstream)) &&
        upstream !== withoutEmpty(upstream)) ||
      (/ (?:added )?\[\](?: |$)|\[0\] removed(?: |$)/.test(name) &&
        /^code: 422 here 20\d: .*(?:cannot be set|only one of|must specify at least one)/.test(group)),
  },
  {
    id: 'owners of null',
    reason:
      'Go writes null for a required list that is not set, and whoever wrote the object owns it; here nobody does.',
    matches: ({ group, upstream, name }) =>
      (/managedFields(\[\]\.fieldsV1(\.f:\w+)*)? only upstream$/.test(group) &&
        ownsOnlyNulls(
          upstream === '{}' ? `"${/f:\w+(?= only upstream$)/.exec(group)?.[0]}":{}` : upstream,
        )) ||
      (group === 'body: metadata.managedFields differs' && name.includes('status.currentMetrics added []')),
  },
  {
    id: 'owners of answers',
    reason: 'The answer to a review or a request for a token is no stored object, and is owned by nobody.',
    matches: ({ group, name }) =>
      group === 'body: metadata.managedFields only upstream' &&
      /^access |^v1 ServiceAccount token/.test(name),
  },
  {
    id: 'owners of addresses',
    reason:
      'Addresses that a server takes for its own Services are written by nobody here, by itself upstream.',
    matches: ({ kind, group }) =>
      kind.endsWith(' IPAddress') && inBody('metadata.managedFields only upstream$').test(group),
  },
  {
    id: 'owner of an image after a resize',
    reason:
      'A resize that sends another image takes the image from its owner upstream, although nothing but resources is changed.',
    matches: ({ group, name }) =>
      name === 'v1 Pod resize of image' && group === 'body: metadata.managedFields differs',
  },
  {
    id: 'aggregation',
    reason:
      "Aggregated APIs are not served: registrations are stored with a warning and nobody reports on their services or registers this server's own kinds.",
    matches: ({ kind, group, name }) =>
      kind === 'apiregistration.k8s.io/v1 APIService' &&
      (inBody('(?:status(?: |\\.conditions)|metadata\\.managedFields(?: |\\[\\]))').test(group) ||
        inBody('metadata\\.(?:continue|remainingItemCount) (?:differs|only upstream)$').test(group) ||
        /^body: (?:items|rows)(?:\[\] only upstream: v| differs$)/.test(group) ||
        /^body: (?:\[\]\.object\.)?rows\[\]\.cells\[\] differs$/.test(group) ||
        name.endsWith(' read list with limit') ||
        group.startsWith('warning extra: aggregated APIs are not served yet')),
  },
  {
    id: 'group of an aggregated API',
    reason: 'The group of the registered API is not in discovery, and its paths answer without a proxy.',
    matches: ({ group, name }) =>
      /only upstream: (?:\/apis\/)?nothing\.example\.com/.test(group) ||
      name.startsWith('GET /apis/nothing.example.com'),
  },
  {
    id: 'status of policies',
    reason:
      "Here the API server checks the types of a policy's expressions and reports on it; upstream's controller manager does, which does not run.",
    matches: ({ kind, group, ours, name }) =>
      kind.endsWith(' ValidatingAdmissionPolicy') &&
      (inBody('status\\.(?:observedGeneration|typeChecking) only ours$').test(group) ||
        (group.includes('managedFields') && /validatingadmissionpolicy-status|f:typeChecking/.test(ours)) ||
        (name.endsWith(' watch life') && group === 'body:  differs')),
  },
  {
    id: 'words of YAML and protobuf readers',
    reason: 'Broken YAML and protobuf are refused with the words of the reader used here, and the same code.',
    matches: ({ group, name }) =>
      group.startsWith('message: ') && /(?:verbs bad yaml body|apply bad yaml| protobuf)$/.test(name),
  },
  {
    id: 'patch without apiVersion',
    reason:
      'A patch that takes apiVersion away is refused alike; upstream adds warnings of its internal type, in which no field is known.',
    matches: ({ group, name }) =>
      /^warning missing: unknown field \\?"/.test(group) &&
      /patch apiVersion (?:null|removed|"") /.test(name),
  },
  {
    id: 'objects of the servers themselves',
    reason:
      'Lists hold what each server makes for itself at its start: roles for parts of its own, other words in descriptions, aggregated roles filled at once.',
    matches: ({ kind, group, name }) =>
      selfMade.test(kind) &&
      /read list|access \w+ list|watch /.test(name) &&
      (/^body: (?:items|rows) differs$/.test(group) ||
        inBody('(?:cells\\[\\]|description|rules) differs$').test(group) ||
        /^body: items\[\] only (?:ours|upstream): (?:cloudless|kubeadm|system):/.test(group) ||
        group === 'body: items[].metadata.managedFields[].fieldsV1.f:rules only ours' ||
        (name.endsWith('with limit') && inBody('(?:metadata|roleRef|subjects\\[\\]|rules)').test(group))),
  },
  {
    id: 'OpenAPI index',
    reason:
      'Hashes in the index of OpenAPI documents differ with their contents, and the index is called JSON, which it is.',
    matches: ({ name }) => / \/openapi\/v3$| at \/openapi\/v3$/.test(name),
  },
  {
    id: 'warnings of a replication controller',
    reason: 'An update is warned of what it asks for; upstream looks at the old template there.',
    matches: ({ kind, group, request }) =>
      kind === 'v1 ReplicationController' &&
      /^P(?:UT|ATCH) /.test(request) &&
      group.startsWith('warning extra: '),
  },
  {
    id: 'dry run of a creation under load',
    reason:
      'In a dry run upstream takes any trouble of its storage for a sign that there is no such object, a timeout as well.',
    matches: ({ group, name }) =>
      name.endsWith(' verbs existing, dry run') && group.startsWith('code: 201 here 409: AlreadyExists '),
  },
  {
    id: 'taken address in a dry run',
    reason:
      'A dry run of a Service is refused where the write itself would be: an address that is taken. Upstream does not look.',
    matches: ({ kind, group, ours }) =>
      kind === 'v1 Service' &&
      / here 422: /.test(group) &&
      /failed to allocate IP [\d.]+: provided IP is already allocated/.test(ours),
  },
  {
    id: 'annotation of a DaemonSet’s template',
    reason:
      'The generation of the template is an annotation of apps/v1 that upstream makes in its conversion: it is not in the metadata alone.',
    matches: ({ kind, group }) =>
      kind.endsWith(' DaemonSet') &&
      group.endsWith('metadata.annotations.deprecated.daemonset.template.generation only ours'),
  },
  {
    id: 'port twice',
    reason:
      'A Service with one port twice is refused as invalid; upstream gives both a node port first, and complains of that, or answers 500 where they have one.',
    matches: ({ kind, group, name }) =>
      kind === 'v1 Service' &&
      (group.startsWith('code: 500 here 422:  duplicate nodePort') ||
        (group.startsWith('cause missing: spec.ports[].nodePort: Duplicate value') &&
          name.includes('spec.ports first twice'))),
  },
  {
    id: 'order of an APIService’s causes',
    reason: 'Its name is judged after the rest of its metadata, upstream before.',
    matches: ({ kind, group }) => kind.endsWith(' APIService') && group === 'causes in another order',
  },
  {
    id: 'pace of a FlowSchema’s condition',
    reason: 'The condition comes a moment after the object, on either server: an answer shows it or not.',
    matches: ({ kind, group, name }) =>
      kind.endsWith(' FlowSchema') &&
      / (?:collection|watch life|life)$/.test(name) &&
      inBody('(?:status\\.conditions |metadata\\.(?:managedFields|annotations)| differs)').test(group),
  },
];
