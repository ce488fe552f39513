/**
 * Puts right what a crash between two systems, an upgrade or a hand in the store left behind: every address of a
 * Service has its IPAddress, and no IPAddress outlives its Service (upstream: pkg/registry/core/service/ipallocator/
 * controller/repairip.go). Reads caches, writes only where something is wrong.
 */
import type { KubeClient } from '@cloudless/kube/client/client';
import { core, networking } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { IPAddress } from '@cloudless/kube/types/networking-v1';
import type { Caches } from '../cache/cache.ts';
import {
  belongsTo,
  ipAddressOf,
  managedBy,
  managedByLabel,
  serviceName,
} from '../registry/strategies/service/address-book.ts';
import { formatIp, parseIp } from '../registry/validation/addresses.ts';
import type { PostStartHook } from '../server/options.ts';

const intervalMs = 5 * 60_000;
/** An IPAddress may be seen before its Service; younger ones are left alone. */
const graceMs = 60_000;

/** What is wrong, and what to do about it. */
export interface AddressRepair {
  readonly missing: readonly IPAddress[];
  readonly orphaned: readonly IPAddress[];
  /** Addresses that two Services claim: for a human to decide. */
  readonly doubled: ReadonlyArray<{ ip: string; services: readonly string[] }>;
}

const addressesOf = (service: Service): string[] =>
  service.spec?.type === 'ExternalName'
    ? []
    : (service.spec?.clusterIPs ?? []).flatMap((ip) => {
        const parsed = ip === 'None' ? undefined : parseIp(ip);
        return parsed ? [formatIp(parsed)] : [];
      });

/** Compares the Services with their addresses; changes nothing. */
export function planAddressRepair(
  services: Iterable<Service>,
  addresses: Iterable<IPAddress>,
  nowMs: number,
): AddressRepair {
  const owners = new Map<string, Service[]>();
  for (const service of services) {
    for (const ip of addressesOf(service)) owners.set(ip, [...(owners.get(ip) ?? []), service]);
  }
  const known = new Set<string>();
  const orphaned: IPAddress[] = [];
  for (const address of addresses) {
    const ip = address.metadata.name ?? '';
    known.add(ip);
    if (address.metadata.labels?.[managedByLabel] !== managedBy) continue;
    const isOwned = owners.get(ip)?.some((service) => belongsTo(address, serviceName(service)));
    const ageMs = nowMs - Date.parse(address.metadata.creationTimestamp ?? '');
    if (!isOwned && !(ageMs < graceMs)) orphaned.push(address);
  }
  const missing: IPAddress[] = [];
  const doubled: Array<{ ip: string; services: string[] }> = [];
  for (const [ip, list] of owners) {
    const [first] = list;
    if (list.length > 1) {
      doubled.push({ ip, services: list.map((one) => `${one.metadata.namespace}/${one.metadata.name}`) });
    }
    if (!known.has(ip) && first) missing.push(ipAddressOf(ip, serviceName(first)));
  }
  return { missing, orphaned, doubled };
}

async function isGoneAsPlanned(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    // Somebody else put it right, or it changed meanwhile: the next round sees.
    if (!isAlreadyExists(error) && !isNotFound(error) && !isConflict(error)) throw error;
  }
}

/** One round. */
export async function repairAddresses(
  client: KubeClient,
  caches: Caches,
  nowMs: number,
  signal?: AbortSignal,
): Promise<AddressRepair> {
  const services = caches.of(core.services);
  const addresses = caches.of(networking.ipaddresses);
  await Promise.all([services.ready, addresses.ready]);
  // Addresses first: a Service made in between is then seen with its address, or not at all.
  await addresses.fresh();
  await services.fresh();
  const plan = planAddressRepair(services.list(), addresses.list(), nowMs);
  for (const address of plan.missing) {
    await isGoneAsPlanned(client.create(networking.ipaddresses, address, { signal }));
  }
  for (const { metadata } of plan.orphaned) {
    const preconditions = { uid: metadata.uid as string };
    await isGoneAsPlanned(
      client.delete(networking.ipaddresses, metadata.name as string, { preconditions, signal }),
    );
  }
  return plan;
}

/** Repairs at the start and every five minutes, until the server stops. */
export function addressRepairHook(): PostStartHook {
  return {
    name: 'start-service-ip-repair-controllers',
    run({ client, caches, clock, log, signal }) {
      let timer: { cancel(): void } | undefined;
      const round = async (): Promise<void> => {
        try {
          const { missing, orphaned, doubled } = await repairAddresses(client, caches, clock.nowMs(), signal);
          if (missing.length + orphaned.length > 0) {
            log.info(
              { missing: missing.length, orphaned: orphaned.length },
              'repaired addresses of Services',
            );
          }
          for (const one of doubled) log.error(one, 'two Services have the same address; delete one of them');
        } catch (error) {
          if (!signal.aborted) log.warn({ err: error }, 'the addresses of Services could not be checked');
        }
        if (!signal.aborted) timer = clock.setTimeout(() => void round(), intervalMs);
      };
      signal.addEventListener('abort', () => timer?.cancel(), { once: true });
      void round();
    },
  };
}
