import type { KubeClient } from '@cloudless/kube/client/client';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, keyOf, splitKey } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists, isNotFound } from '@cloudless/kube/status';
import type { Endpoints, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { hasEndpoint, isHeadless } from '../endpointslice/endpoint.ts';
import { headlessLabel } from '../endpointslice/endpointslice.ts';
import { TriggerTimes } from '../endpointslice/trigger-time.ts';
import { labelIndex, labelsOf, podsOf, watchServices } from '../endpointslice/watch-services.ts';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, recorderFor, startQueue } from '../runtime/context.ts';
import { endpointSubsets, truncated } from './subsets.ts';

const workers = 5;
const managedByLabel = 'endpoints.kubernetes.io/managed-by';
const managedBy = 'endpoint-controller';
const overCapacityAnnotation = 'endpoints.kubernetes.io/over-capacity';
const triggerTimeAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';
/** Marks an Endpoints object by which some election is held: hands off. */
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

/** Writes the Endpoints of Services with a selector, for clients older than slices (upstream: pkg/controller/endpoint). */
export function startEndpointsController(context: ControllerContext): Controller {
  const client = context.clientFor('endpoint-controller');
  const events = recorderFor(context, 'endpoint-controller', client);
  const services = context.informers.of(core.services);
  const pods = context.informers.of(core.pods);
  const endpoints = context.informers.of(core.endpoints);
  pods.addIndex(labelIndex, labelsOf);
  const controller = new EndpointsController(client, events, services, pods, endpoints);
  return startQueue(
    context,
    {
      name: 'endpoint',
      workers,
      waitFor: [services, pods, endpoints],
      sync: (key, signal) => controller.sync(key, signal),
      owns: [events],
    },
    (queue) => controller.wire(queue),
  );
}

class EndpointsController {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #services: Informer<Service>;
  readonly #pods: Informer<Pod>;
  readonly #endpoints: Informer<Endpoints>;
  readonly #triggers = new TriggerTimes();

  constructor(
    client: KubeClient,
    events: EventRecorder,
    services: Informer<Service>,
    pods: Informer<Pod>,
    endpoints: Informer<Endpoints>,
  ) {
    this.#client = client;
    this.#events = events;
    this.#services = services;
    this.#pods = pods;
    this.#endpoints = endpoints;
  }

  wire(queue: WorkQueue): void {
    watchServices(this.#services, this.#pods, undefined, queue);
    this.#endpoints.addHandler({
      // After a restart: Endpoints whose Service went meanwhile.
      add: (object, initial) => {
        if (initial && object.metadata.labels?.[managedByLabel] === managedBy) queue.add(keyOf(object));
      },
      delete: (object) => queue.add(keyOf(object)),
    });
  }

  async sync(key: string, signal: AbortSignal): Promise<void> {
    const service = this.#services.store.get(key);
    const current = this.#endpoints.store.get(key);
    if (!service) {
      this.#triggers.forget(key);
      if (current?.metadata.labels?.[managedByLabel] === managedBy) await this.#delete(key, signal);
      return;
    }
    const pods = podsOf(service, this.#pods);
    if (!pods) return;
    const { subsets, overCapacity } = truncated(endpointSubsets(service, pods));
    const triggerTime = this.#triggers.next(key, service, pods.filter(hasEndpoint));
    const labels = {
      ...service.metadata.labels,
      [managedByLabel]: managedBy,
      ...(isHeadless(service) ? { [headlessLabel]: '' } : {}),
    };
    if (!isHeadless(service)) delete (labels as Record<string, string>)[headlessLabel];
    const {
      [triggerTimeAnnotation]: _,
      [overCapacityAnnotation]: capacity,
      ...others
    } = current?.metadata.annotations ?? {};
    const annotations = {
      ...others,
      ...(overCapacity ? { [overCapacityAnnotation]: 'truncated' } : {}),
      ...(triggerTime === undefined ? {} : { [triggerTimeAnnotation]: triggerTime }),
    };
    if (
      current &&
      semanticEqual(current.subsets, subsets) &&
      semanticEqual(current.metadata.labels, labels) &&
      (capacity === 'truncated') === overCapacity
    ) {
      return;
    }
    await this.#write(service, current, { labels, annotations, subsets }, signal);
  }

  async #write(
    service: Service,
    current: Endpoints | undefined,
    next: {
      labels: Record<string, string>;
      annotations: Record<string, string>;
      subsets: Endpoints['subsets'];
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { labels, annotations, subsets } = next;
    const { name = '', namespace = '' } = service.metadata;
    try {
      if (current) {
        const metadata = { ...current.metadata, labels, annotations };
        await this.#client.update(
          core.endpoints,
          { ...current, metadata, ...(subsets ? { subsets } : {}) },
          { signal },
        );
        return;
      }
      await this.#client.create(
        core.endpoints,
        {
          apiVersion: 'v1',
          kind: 'Endpoints',
          metadata: { name, namespace, labels, annotations },
          ...(subsets ? { subsets } : {}),
        },
        { signal },
      );
    } catch (error) {
      // Another writer was first, or the namespace goes: events of that will come.
      if (isNamespaceTerminating(error)) return;
      if (!isAlreadyExists(error)) {
        const what = current ? 'update' : 'create';
        const message = `Failed to ${what} endpoint ${namespace}/${name}: ${(error as Error).message}`;
        this.#events.event(service, 'Warning', `FailedTo${current ? 'Update' : 'Create'}Endpoint`, message);
      }
      throw error;
    }
  }

  async #delete(key: string, signal: AbortSignal): Promise<void> {
    const current = this.#endpoints.store.get(key);
    if (!current || current.metadata.annotations?.[leaderAnnotation] !== undefined) return;
    const { namespace, name } = splitKey(key);
    const { uid } = current.metadata;
    try {
      await this.#client.delete(core.endpoints, name, {
        namespace,
        signal,
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
