/**
 * The `kubernetes` Service in `default` and what is behind it (upstream: pkg/controlplane/controller/
 * kubernetesservice and pkg/controlplane/reconcilers). The Service has no selector: its endpoints are the API
 * server's own address, put right as soon as anyone changes them. One API server per cluster is assumed: it writes
 * its own address alone.
 */
import type { KubeClient } from '@cloudless/kube/client/client';
import { core, discovery } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { Endpoints, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { semanticallyEqual } from '../registry/validation/fields.ts';
import { formatIp, parseCidr, parseIp } from '../registry/validation/addresses.ts';
import type { PartContext, PostStartHook } from '../server/options.ts';

export interface KubernetesServiceOptions {
  /** The address's own family decides the addressType of the slice. */
  advertiseAddress: string;
  /** Port of the API server, to which the Service's 443 leads; 0: the one it came to listen on. */
  port: number;
  /** The first range gives the Service its address: the first one after the network's. */
  serviceCidrs: readonly string[];
}

const namespace = 'default';
const name = 'kubernetes';
/** Between a change by someone else and its repair, so that a storm of changes is one repair. */
const settleMs = 20;
const retryMs = 1_000;

/** First usable address of a range. */
export function firstAddress(range: string): string {
  const cidr = parseCidr(range);
  if (!cidr) throw new TypeError(`${JSON.stringify(range)} is no CIDR`);
  return formatIp({ family: cidr.family, value: cidr.first + 1n });
}

function wantedService({ port, serviceCidrs }: KubernetesServiceOptions): Service {
  return {
    metadata: { name, namespace, labels: { provider: 'kubernetes', component: 'apiserver' } },
    spec: {
      clusterIP: firstAddress(serviceCidrs[0] ?? ''),
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: port }],
      sessionAffinity: 'None',
      type: 'ClusterIP',
      ipFamilyPolicy: 'SingleStack',
    },
  };
}

const wantedEndpoints = ({ advertiseAddress, port }: KubernetesServiceOptions): Endpoints => ({
  metadata: { name, namespace, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
  subsets: [{ addresses: [{ ip: advertiseAddress }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
});

const wantedSlice = ({ advertiseAddress, port }: KubernetesServiceOptions): EndpointSlice => ({
  metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
  addressType: parseIp(advertiseAddress)?.family ?? 'IPv4',
  endpoints: [{ addresses: [advertiseAddress], conditions: { ready: true } }],
  ports: [{ name: 'https', port, protocol: 'TCP' }],
});

/** Makes one object what it shall be; `change` sets what differs on a copy of what stands there. */
async function settle<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  wanted: T,
  change: (object: T) => void,
  signal: AbortSignal,
): Promise<void> {
  let current: T;
  try {
    current = await client.get(resource, name, { namespace, signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    try {
      await client.create(resource, wanted, { namespace, signal });
    } catch (createError) {
      if (!isAlreadyExists(createError)) throw createError;
    }
    return;
  }
  const object = structuredClone(current);
  change(object);
  object.metadata.labels = { ...object.metadata.labels, ...wanted.metadata.labels };
  if (semanticallyEqual(object, current)) return;
  await client.update(resource, object, { namespace, signal });
}

/** Once; does nothing when all is as it shall be. */
export async function reconcileKubernetesService(
  { client, signal }: Pick<PartContext, 'client' | 'signal'>,
  options: KubernetesServiceOptions,
): Promise<void> {
  const service = wantedService(options);
  await settle(
    client,
    core.services,
    service,
    (object) => {
      object.spec ??= {};
      object.spec.type = 'ClusterIP';
      object.spec.ports = service.spec?.ports;
      delete object.spec.selector;
    },
    signal,
  );
  const endpoints = wantedEndpoints(options);
  const slice = wantedSlice(options);
  await Promise.all([
    settle(client, core.endpoints, endpoints, (object) => void (object.subsets = endpoints.subsets), signal),
    settle(
      client,
      discovery.endpointslices,
      slice,
      (object) => Object.assign(object, { ...slice, metadata: object.metadata }),
      signal,
    ),
  ]);
}

/** Repairs as soon as one of the three changes, until the server stops. */
function keep(context: PartContext, options: KubernetesServiceOptions): void {
  const { caches, clock, log, signal } = context;
  let timer: { cancel(): void } | undefined;
  const repair = async (): Promise<void> => {
    try {
      await reconcileKubernetesService(context, options);
    } catch (error) {
      if (signal.aborted) return;
      if (!isConflict(error))
        log.warn({ err: error }, 'the kubernetes Service could not be put right, trying again');
      schedule(retryMs);
    }
  };
  const schedule = (delayMs: number): void => {
    if (timer || signal.aborted) return;
    timer = clock.setTimeout(() => {
      timer = undefined;
      void repair();
    }, delayMs);
  };
  const unsubscribe = [core.services, core.endpoints, discovery.endpointslices].map((resource) =>
    caches.of(resource as Resource).subscribe(({ object }) => {
      if (object.metadata.name === name && object.metadata.namespace === namespace) schedule(settleMs);
    }),
  );
  signal.addEventListener(
    'abort',
    () => {
      timer?.cancel();
      for (const end of unsubscribe) end();
    },
    { once: true },
  );
}

/** Makes the Service and its endpoints, and keeps them so. */
export function kubernetesServiceHook(given: KubernetesServiceOptions): PostStartHook {
  let keeping = false;
  return {
    name: 'start-kubernetes-service-controller',
    async run(context) {
      const options = { ...given, port: given.port || context.address().port };
      await reconcileKubernetesService(context, options);
      if (!keeping) keep(context, options);
      keeping = true;
    },
  };
}
