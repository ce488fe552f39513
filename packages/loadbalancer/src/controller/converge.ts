import type { Service } from '@cloudless/kube/types/core-v1';
import type { IpAddress } from '../speaker/address.ts';
import {
  type Allocation,
  type AllocationRequest,
  type AllocationResult,
  type Allocator,
  quoted,
} from './allocator.ts';
import { wantedPool } from './annotations.ts';
import { requestOf, statusAddresses, wishOf } from './service-request.ts';

/** Something to tell at the Service, with MetalLB's reasons. */
export interface Note {
  readonly type: 'Normal' | 'Warning';
  readonly reason:
    | 'IPAllocated'
    | 'AllocationFailed'
    | 'ClearAssignment'
    | 'LoadBalancerFailed'
    | 'AdditionalAssignFailed'
    | 'not enough clusterips'
    | 'noclusterIPsIPFamily';
  readonly message: string;
}

/** What a Service's status is to be, and what was decided on the way. */
export interface Converged {
  /** Undefined: it has no address, and no annotation of ours. */
  readonly assigned: Allocation | undefined;
  /** It should have an address, and may get one when another Service gives one back. */
  readonly isWaiting: boolean;
  readonly notes: readonly Note[];
}

const normal = (reason: Note['reason'], message: string): Note => ({ type: 'Normal', reason, message });
const warning = (reason: Note['reason'], message: string): Note => ({ type: 'Warning', reason, message });

/**
 * Decides on a Service's addresses (upstream: convergeBalancer). Its status is the memory: what stands there is kept
 * as long as pools, annotations and neighbours allow it. Changes nothing but the allocator.
 */
export function converge(
  allocator: Allocator,
  service: Service,
  namespaceLabels: Readonly<Record<string, string>>,
): Converged {
  const { namespace = '', name = '' } = service.metadata;
  const key = `${namespace}/${name}`;
  const give = (isWaiting: boolean, ...notes: Note[]): Converged => {
    allocator.release(key);
    return { assigned: undefined, isWaiting, notes };
  };
  if (service.spec?.type !== 'LoadBalancer') return give(false);
  const request = requestOf(service, namespaceLabels);
  if ('bad' in request) return give(true, warning('noclusterIPsIPFamily', request.bad));
  if (service.spec.ipFamilyPolicy === 'RequireDualStack' && request.families.length < 2)
    return give(
      true,
      warning('not enough clusterips', 'Service requires dual stack but it has one cluster IP only'),
    );
  const notes: Note[] = [];
  const kept = keep(allocator, service, request, notes);
  const wish = wishOf(service);
  if ('bad' in wish) {
    // A wish that cannot be understood changes nothing for a Service that has addresses.
    if (typeof kept === 'object')
      return {
        assigned: kept,
        isWaiting: false,
        notes: [warning('LoadBalancerFailed', `invalid requested loadbalancer IPs: ${wish.bad}`)],
      };
    return give(
      true,
      ...notes,
      kept === 'had-none'
        ? warning('AllocationFailed', `Failed to allocate IP for "${key}": ${wish.bad}`)
        : warning('LoadBalancerFailed', `invalid requested loadbalancer IPs: ${wish.bad}`),
    );
  }
  if (typeof kept === 'object' && (wish.length === 0 || sameAddresses(wish, kept.addresses)))
    return { assigned: complete(allocator, request, kept, notes), isWaiting: false, notes };
  allocator.release(key);
  const chosen = choose(allocator, service, request, wish);
  if ('refused' in chosen)
    return give(
      true,
      ...notes,
      warning('AllocationFailed', `Failed to allocate IP for "${key}": ${chosen.refused}`),
    );
  notes.push(normal('IPAllocated', `Assigned IP ${quoted(chosen.addresses)}`));
  return { assigned: chosen, isWaiting: false, notes };
}

/** A Service that would rather have both families gets the missing one as soon as its pool can give it. */
function complete(
  allocator: Allocator,
  request: AllocationRequest,
  kept: Allocation,
  notes: Note[],
): Allocation {
  const [had, second] = kept.addresses;
  if (!had || second || !request.oneFamilySuffices) return kept;
  const both = allocator.addFamily(request);
  if ('refused' in both) {
    notes.push(
      normal('AdditionalAssignFailed', `cannot assign additional IP in PreferDualStack: ${both.refused}`),
    );
    return kept;
  }
  const added = both.addresses.find(({ text }) => text !== had.text);
  notes.push(normal('IPAllocated', `Assigned additional IP "${added?.text ?? ''}"`));
  return both;
}

/** The allocation that the Service has already, by its status or by what is being written, if it may stay. */
function keep(
  allocator: Allocator,
  service: Service,
  request: AllocationRequest,
  notes: Note[],
): Allocation | 'had-none' | 'lost' {
  const stated = statusAddresses(service);
  const addresses = stated.length > 0 ? stated : (allocator.allocationOf(request.service)?.addresses ?? []);
  if (addresses.length === 0 || !familiesFit(addresses, request)) return 'had-none';
  const result = allocator.assign(request, addresses);
  if ('refused' in result) {
    notes.push(
      normal(
        'ClearAssignment',
        `current IP for "${request.service}" not allowed by config, will attempt for new IP assignment: ${result.refused}`,
      ),
    );
    return 'lost';
  }
  const pool = wantedPool(service.metadata.annotations);
  return pool === '' || pool === result.pool ? result : 'lost';
}

/** New addresses, by what the Service asks for. */
function choose(
  allocator: Allocator,
  service: Service,
  request: AllocationRequest,
  wish: readonly IpAddress[],
): AllocationResult {
  const pool = wantedPool(service.metadata.annotations);
  if (wish.length === 0)
    return pool === '' ? allocator.allocate(request) : allocator.allocateFromPool(request, pool);
  if (
    wish.length !== request.families.length ||
    !wish.every(({ family }) => request.families.includes(family))
  )
    return {
      refused: `requested loadBalancer IP(s) ${quoted(wish)} does not match the ipFamily of the service`,
    };
  const result = allocator.assign(request, wish);
  if ('refused' in result || pool === '' || result.pool === pool) return result;
  allocator.release(request.service);
  return {
    refused: `requested loadBalancer IP(s) ${quoted(wish)} is not compatible with requested address pool ${pool}`,
  };
}

/** Upstream: serviceFamilyChanged. */
function familiesFit(addresses: readonly IpAddress[], request: AllocationRequest): boolean {
  const families = new Set(addresses.map(({ family }) => family));
  if (families.size !== addresses.length) return false;
  if (addresses.length === request.families.length)
    return addresses.every(({ family }) => request.families.includes(family));
  return addresses.length < request.families.length && request.oneFamilySuffices;
}

function sameAddresses(a: readonly IpAddress[], b: readonly IpAddress[]): boolean {
  const texts = new Set(b.map(({ text }) => text));
  return a.length === b.length && a.every(({ text }) => texts.has(text));
}
