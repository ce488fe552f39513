import type { KubeClient } from '@cloudless/kube/client/client';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import { core, discovery } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointPort, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { controllerReference } from '../owner/controller-ref.ts';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { OwnWrites } from '../runtime/own-writes.ts';
import {
  type AddressType,
  addressTypes,
  endpointPorts,
  hasEndpoint,
  isHeadless,
  podAddresses,
  podEndpoint,
} from './endpoint.ts';
import { type Packing, type PortGroup, pack, portsKey } from './pack.ts';
import { TriggerTimes } from './trigger-time.ts';
import { labelIndex, labelsOf, nodeName, nodeNameIndex, podsOf, watchServices } from './watch-services.ts';

const workers = 5;
/** Upstream: --max-endpoints-per-slice. */
const maxEndpointsPerSlice = 100;

export const serviceNameLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const headlessLabel = 'service.kubernetes.io/headless';
const managedBy = 'endpointslice-controller.k8s.io';
const triggerTimeAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

/** Slices of ours by the Service they belong to. */
const serviceIndex = 'service';

/** Writes the EndpointSlices of Services with a selector (upstream: pkg/controller/endpointslice). */
export function startEndpointSliceController(context: ControllerContext): Controller {
  const client = context.clientFor('endpointslice-controller');
  const events = recorderFor(context, 'endpoint-slice-controller', client);
  const services = context.informers.of(core.services);
  const pods = context.informers.of(core.pods);
  const nodes = context.informers.of(core.nodes);
  const slices = context.informers.of(discovery.endpointslices);
  pods.addIndex(nodeNameIndex, nodeName);
  pods.addIndex(labelIndex, labelsOf);
  slices.addIndex(serviceIndex, serviceKey);
  const controller = new EndpointSliceController(client, events, services, pods, nodes, slices);
  return startQueue(
    context,
    {
      name: 'endpoint_slice',
      workers,
      waitFor: [services, pods, nodes, slices],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

/** `namespace/service` of a slice that this controller manages. */
function serviceKey(slice: EndpointSlice): string[] {
  const labels = slice.metadata.labels;
  const name = labels?.[serviceNameLabel];
  return name && labels[managedByLabel] === managedBy ? [`${slice.metadata.namespace ?? ''}/${name}`] : [];
}

class EndpointSliceController {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #services: Informer<Service>;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #own: OwnWrites<EndpointSlice>;
  readonly #triggers = new TriggerTimes();

  constructor(
    client: KubeClient,
    events: EventRecorder,
    services: Informer<Service>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    slices: Informer<EndpointSlice>,
  ) {
    this.#client = client;
    this.#events = events;
    this.#services = services;
    this.#pods = pods;
    this.#nodes = nodes;
    this.#slices = slices;
    this.#own = new OwnWrites(slices);
  }

  wire(queue: WorkQueue): void {
    watchServices(this.#services, this.#pods, this.#nodes, queue);
    const enqueue = (slice: EndpointSlice): void => serviceKey(slice).forEach((key) => queue.add(key));
    // Others' hands on our slices are undone.
    this.#slices.addHandler({
      add: enqueue,
      update: (slice, old) => {
        enqueue(slice);
        enqueue(old);
      },
      delete: enqueue,
    });
  }

  async sync(key: string, signal: AbortSignal): Promise<void> {
    const service = this.#services.store.get(key);
    if (!service) {
      // Its slices go with it, by owner reference.
      this.#triggers.forget(key);
      return;
    }
    const pods = podsOf(service, this.#pods);
    if (!pods) return;
    const slices = this.#own
      .over(this.#slices.store.byIndex(serviceIndex, key), (slice) => serviceKey(slice).includes(key))
      .filter((slice) => slice.metadata.deletionTimestamp === undefined);
    const triggerTime = this.#triggers.next(key, service, pods.filter(hasEndpoint));
    try {
      await this.#reconcile(service, pods, slices, triggerTime, signal);
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      const message = `Error updating Endpoint Slices for Service ${key}: ${(error as Error).message}`;
      this.#events.event(service, 'Warning', 'FailedToUpdateEndpointSlices', message);
      throw error;
    }
  }

  async #reconcile(
    service: Service,
    pods: readonly Pod[],
    slices: readonly EndpointSlice[],
    triggerTime: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const types = addressTypes(service);
    for (const type of types) {
      const ours = slices.filter((slice) => slice.addressType === type);
      const wanted = this.#wanted(service, pods, type);
      const packing = pack(ours, wanted, maxEndpointsPerSlice);
      if (wanted.length === 0 && serves(service, type, ours)) placeholder(packing);
      await this.#write(service, type, packing, triggerTime, signal);
    }
    // Families the Service no longer has.
    const foreign = slices.filter((slice) => !types.includes(slice.addressType as AddressType));
    for (const slice of foreign) await this.#delete(slice, signal);
  }

  #wanted(service: Service, pods: readonly Pod[], type: AddressType): PortGroup[] {
    const groups = new Map<string, PortGroup>();
    for (const pod of pods) {
      if (!hasEndpoint(pod) || podAddresses(pod, type).length === 0) continue;
      const node = this.#nodes.store.get(pod.spec?.nodeName ?? '');
      // A pod on a node that is gone serves nobody; when the node appears, its event brings us back.
      if (!node && service.spec?.publishNotReadyAddresses !== true) continue;
      const ports = endpointPorts(service, pod);
      const key = portsKey(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      group.endpoints.push(podEndpoint(service, pod, node, type));
      groups.set(key, group);
    }
    return [...groups.values()];
  }

  async #write(
    service: Service,
    type: AddressType,
    packing: Packing,
    triggerTime: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    for (const { ports, endpoints } of packing.create) {
      const slice = build(service, type, ports, triggerTime);
      this.#own.wrote(
        await this.#client.create(discovery.endpointslices, { ...slice, endpoints }, { signal }),
      );
    }
    for (const { slice, ports, endpoints } of packing.update) {
      await this.#update(dressed(service, { ...slice, ports, endpoints }, triggerTime), signal);
    }
    for (const slice of packing.unchanged) {
      const next = dressed(service, slice, undefined);
      if (!semanticEqual(next.metadata.labels, slice.metadata.labels) || !isOwned(slice, service)) {
        await this.#update(dressed(service, slice, triggerTime), signal);
      }
    }
    for (const slice of packing.delete) await this.#delete(slice, signal);
  }

  async #update(slice: EndpointSlice, signal: AbortSignal): Promise<void> {
    this.#own.wrote(await this.#client.update(discovery.endpointslices, slice, { signal }));
  }

  async #delete(slice: EndpointSlice, signal: AbortSignal): Promise<void> {
    const { name = '', namespace } = slice.metadata;
    try {
      await this.#client.delete(discovery.endpointslices, name, { namespace, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    if (this.#slices.store.get(keyOf(slice))) this.#own.deleted(slice);
  }
}

/** Whether a family without endpoints keeps an empty slice: each that the Service names has one. */
function serves(service: Service, type: AddressType, existing: readonly EndpointSlice[]): boolean {
  return (service.spec?.ipFamilies ?? []).length > 0 || type === 'IPv4' || existing.length > 0;
}

/** A Service without endpoints has one slice without any, so that clients can tell it from one not yet seen. */
function placeholder(packing: Packing): void {
  const kept = packing.delete.shift();
  if (!kept) packing.create.push({ ports: [], endpoints: [] });
  else if ((kept.endpoints ?? []).length === 0 && (kept.ports ?? []).length === 0)
    packing.unchanged.push(kept);
  else packing.update.push({ slice: kept, ports: [], endpoints: [] });
}

function isOwned(slice: EndpointSlice, service: Service): boolean {
  return slice.metadata.ownerReferences?.some((owner) => owner.uid === service.metadata.uid) ?? false;
}

function build(
  service: Service,
  addressType: AddressType,
  ports: EndpointPort[],
  triggerTime: string | undefined,
): EndpointSlice {
  const name = service.metadata.name ?? '';
  return dressed(
    service,
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { generateName: `${name}-`, namespace: service.metadata.namespace ?? '' },
      addressType,
      ports,
      endpoints: [],
    },
    triggerTime,
  );
}

/** A slice with the labels, owner and annotation that go with its Service. */
function dressed(service: Service, slice: EndpointSlice, triggerTime: string | undefined): EndpointSlice {
  const { [headlessLabel]: _, ...inherited } = service.metadata.labels ?? {};
  const { [triggerTimeAnnotation]: __, ...annotations } = slice.metadata.annotations ?? {};
  if (triggerTime !== undefined) annotations[triggerTimeAnnotation] = triggerTime;
  return {
    ...slice,
    metadata: {
      ...slice.metadata,
      labels: {
        ...inherited,
        [serviceNameLabel]: service.metadata.name ?? '',
        [managedByLabel]: managedBy,
        ...(isHeadless(service) ? { [headlessLabel]: '' } : {}),
      },
      annotations,
      ownerReferences: [controllerReference(core.services, service)],
    },
  };
}
