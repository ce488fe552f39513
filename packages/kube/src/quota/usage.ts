import type {
  PersistentVolumeClaim,
  Pod,
  PodSpec,
  ResourceQuota,
  Service,
} from '../generated/types/core-v1.ts';
import { groupResourceOf, type KubeObject, type Resource } from '../object.ts';
import { type Amounts, amountsOf, podAmountsWithOverhead } from '../pod-amounts.ts';
import { Quantity } from '../quantity.ts';
import { parseTime } from '../time.ts';
import { isInScopes } from './scopes.ts';

const one = Quantity.of(1);
/** Resources of which a container's request and limit are charged under several names. */
const computeNames = ['cpu', 'memory', 'ephemeral-storage'];
/** Counted under their plain names too (upstream: legacy object count aliases). */
const plainNames: ReadonlySet<string> = new Set([
  'configmaps',
  'resourcequotas',
  'replicationcontrollers',
  'secrets',
]);

/** Charges of requests and limits: `cpu` and `requests.cpu`, `limits.cpu`, `requests.nvidia.com/gpu`. */
export function computeCharges(requests: Amounts, limits: Amounts): Amounts {
  const charges: Amounts = new Map();
  for (const [name, quantity] of requests) {
    if (computeNames.includes(name) || name.startsWith('hugepages-')) charges.set(name, quantity);
    if (computeNames.includes(name) || name.startsWith('hugepages-') || name.includes('/'))
      charges.set(`requests.${name}`, quantity);
  }
  for (const [name, quantity] of limits)
    if (computeNames.includes(name)) charges.set(`limits.${name}`, quantity);
  return charges;
}

/** A pod that has ended, or should have by now, takes nothing but its place in the store. */
function takesResources(pod: Pod, nowMs: number): boolean {
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return true;
  return parseTime(deletionTimestamp) + deletionGracePeriodSeconds * 1000 > nowMs;
}

function podUsage(pod: Pod, nowMs: number): Amounts {
  if (!takesResources(pod, nowMs)) return new Map();
  const spec: PodSpec = pod.spec ?? { containers: [] };
  const charges = computeCharges(
    podAmountsWithOverhead(spec, 'requests'),
    podAmountsWithOverhead(spec, 'limits'),
  );
  return charges.set('pods', one);
}

function serviceUsage({ spec }: Service): Amounts {
  const ports = spec?.ports ?? [];
  const isBalanced = spec?.type === 'LoadBalancer';
  const asked =
    isBalanced && spec.allocateLoadBalancerNodePorts === false
      ? ports.filter(({ nodePort }) => (nodePort ?? 0) !== 0).length
      : ports.length;
  const nodePorts = isBalanced || spec?.type === 'NodePort' ? asked : 0;
  return new Map([
    ['services', one],
    ['services.loadbalancers', Quantity.of(isBalanced ? 1 : 0)],
    ['services.nodeports', Quantity.of(nodePorts)],
  ]);
}

function claimUsage({ metadata, spec }: PersistentVolumeClaim): Amounts {
  const usage: Amounts = new Map([['persistentvolumeclaims', one]]);
  const size = amountsOf(spec?.resources?.requests).get('storage');
  const className =
    metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec?.storageClassName ?? '';
  const prefixes = className === '' ? [''] : ['', `${className}.storageclass.storage.k8s.io/`];
  for (const prefix of prefixes) {
    usage.set(`${prefix}persistentvolumeclaims`, one);
    if (size) usage.set(`${prefix}requests.storage`, size);
  }
  return usage;
}

/** What an object is charged for, by the names that quotas use (upstream: pkg/quota/v1/evaluator). */
export function usageOf(resource: Resource, object: KubeObject, nowMs: number): Amounts {
  const name = groupResourceOf(resource);
  const usage =
    name === 'pods'
      ? podUsage(object, nowMs)
      : name === 'services'
        ? serviceUsage(object)
        : name === 'persistentvolumeclaims'
          ? claimUsage(object)
          : (new Map() as Amounts);
  if (plainNames.has(name)) usage.set(name, one);
  return usage.set(`count/${name}`, one);
}

const podNames: ReadonlySet<string> = new Set([
  'pods',
  ...computeNames.flatMap((name) => [name, `requests.${name}`, `limits.${name}`]),
]);
const serviceNames: ReadonlySet<string> = new Set([
  'services',
  'services.loadbalancers',
  'services.nodeports',
]);

/** Whether objects of this resource can be charged under a name that a quota limits. */
export function isChargedTo(resource: Resource, name: string): boolean {
  const own = groupResourceOf(resource);
  if (name === `count/${own}`) return true;
  switch (own) {
    case 'pods':
      return (
        podNames.has(name) ||
        /^(requests\.)?hugepages-/.test(name) ||
        (name.startsWith('requests.') && name.includes('/') && !name.includes('storageclass.storage.k8s.io/'))
      );
    case 'services':
      return serviceNames.has(name);
    case 'persistentvolumeclaims':
      return (
        name === 'persistentvolumeclaims' ||
        name === 'requests.storage' ||
        /\.storageclass\.storage\.k8s\.io\/(requests\.storage|persistentvolumeclaims)$/.test(name)
      );
    default:
      return plainNames.has(own) && name === own;
  }
}

/** Whether a quota counts this object: it limits something of its resource, and the object is in all its scopes. */
export function concerns({ spec }: ResourceQuota, resource: Resource, object: KubeObject): boolean {
  const limits = Object.keys(spec?.hard ?? {}).some((name) => isChargedTo(resource, name));
  return limits && isInScopes(spec ?? {}, groupResourceOf(resource), object);
}
