import type {
  Container,
  EphemeralContainer,
  Pod,
  ResourceFieldSelector,
} from '@cloudless/kube/types/core-v1';
import { containersOf } from '../naming/pod.ts';
import { amountOf, effectiveResources, type Amounts } from '../resources/amounts.ts';

/** Addresses that a pod's own fields may name. */
export interface DownwardAddresses {
  podIps: readonly string[];
  hostIps: readonly string[];
}

/** A field that cannot be given to a container; the message is what its status shows. */
export class DownwardError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DownwardError';
  }
}

const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/;

/** The value of `fieldRef` (upstream: fieldpath.ExtractFieldPathAsString and kubelet's podFieldSelectorRuntimeValue). */
export function fieldValue(pod: Pod, path: string, addresses: DownwardAddresses): string {
  const keyed = subscript.exec(path);
  if (keyed) {
    const map = keyed[1] === 'metadata.labels' ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[keyed[2]!] ?? '';
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name ?? '';
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return asLines(pod.metadata.labels ?? {});
    case 'metadata.annotations':
      return asLines(pod.metadata.annotations ?? {});
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return addresses.hostIps[0] ?? '';
    case 'status.hostIPs':
      return addresses.hostIps.join(',');
    case 'status.podIP':
      return addresses.podIps[0] ?? '';
    case 'status.podIPs':
      return addresses.podIps.join(',');
    default:
      throw new DownwardError(`unsupported fieldPath: ${path}`);
  }
}

/** `key="value"` a line, sorted, values quoted as Go does (upstream: fieldpath.FormatMap). */
function asLines(map: Record<string, string>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');
}

/** The value of `resourceFieldRef`; a limit that is not set is the node's allocatable amount. */
export function resourceValue(
  pod: Pod,
  own: Container | EphemeralContainer | undefined,
  selector: ResourceFieldSelector,
  allocatable: Amounts,
): string {
  const container = selector.containerName
    ? containersOf(pod).find(({ spec }) => spec.name === selector.containerName)?.spec
    : own;
  if (container === undefined) throw new DownwardError(`container ${selector.containerName ?? ''} not found`);
  const [list, ...rest] = selector.resource.split('.');
  const name = rest.join('.');
  if (list !== 'limits' && list !== 'requests') {
    throw new DownwardError(`unsupported container resource : ${selector.resource}`);
  }
  const resources = effectiveResources(container);
  let amount = resources[list].get(name);
  if (amount === undefined && (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage')) {
    amount = list === 'limits' ? allocatable.get(name) : undefined;
  }
  const divisor = selector.divisor === undefined ? 0 : amountOf(selector.divisor);
  const unit = divisor === 0 ? 1 : divisor;
  return String(Math.ceil(rounded((amount ?? 0) / unit)));
}

/** Takes out what binary fractions add: 0.3 / 0.1 is 3, not 2.9999999999999996. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;
