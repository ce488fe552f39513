import type { EventRecorder } from '@cloudless/kube/events/recorder';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { NotOwner, Ownership } from '../layer2/layer2.ts';
import { excludeLabel, type ServicePlan } from './announcements.ts';

/** As the config's `protocol` in MetalLB's events and metrics. */
export type Protocol = 'layer2' | 'bgp';

const whys: Record<NotOwner, string> = {
  'not-a-candidate': 'is no candidate any more',
  'no-such-member': 'has no speaker any more',
  silent: 'is silent',
  joining: 'is joining again',
  'later-in-election': 'comes later in the election',
};

/** Tells users on their Services who announces them, and who does not and why (reasons of the first two: upstream's). */
export class ServiceEvents {
  readonly #recorder: Pick<EventRecorder, 'event'>;
  readonly #nodeName: string;
  /** Service and matter → what was said last, so that a state is told once. */
  readonly #said = new Map<string, string>();

  constructor(options: { recorder: Pick<EventRecorder, 'event'>; nodeName: string }) {
    this.#recorder = options.recorder;
    this.#nodeName = options.nodeName;
  }

  /** This node has begun to announce the Service, or goes on; told at the beginning. */
  announcing(service: Service, protocol: Protocol): void {
    this.#once(service, `announcing ${protocol}`, 'Normal', 'nodeAssigned', () => {
      return `announcing from node "${this.#nodeName}" with protocol "${protocol}"`;
    });
  }

  /** This node announces it no more: the next beginning is told again. */
  ended(service: Service, protocol: Protocol): void {
    this.#forget(service, `announcing ${protocol}`);
  }

  /** An address moved to this node from another. */
  failover(service: Service, now: Ownership, formerOwner: string): void {
    const why = now.others.find(({ node }) => node === formerOwner)?.why;
    const cause = why === undefined ? '' : `, which ${whys[why]}`;
    this.#tell(
      service,
      'Normal',
      'failover',
      `${now.address} moved to node "${this.#nodeName}" from node "${formerOwner}"${cause}`,
    );
  }

  /** Two nodes were seen to answer for an address. */
  contested(service: Service, now: Ownership): void {
    this.#tell(
      service,
      'Warning',
      'contested',
      `${now.address} was answered for by node "${now.contestedBy}" as well as by node "${now.owner ?? ''}": they did not see each other`,
    );
  }

  /** The owner has none of the interfaces. */
  noInterface(service: Service, address: string): void {
    this.#once(service, `interfaces ${address}`, 'Warning', 'announceFailed', () => {
      return `the interfaces specified by LB IP "${address}" doesn't exist in assigned node "${this.#nodeName}" with protocol "layer2"`;
    });
  }

  /** The exclude label, where it would leave or does leave a Service silent. Told by one speaker. */
  label(service: Service, plan: ServicePlan | undefined): void {
    const protocols = [plan?.layer2, plan?.bgp].filter((one) => one !== undefined);
    const overruled = protocols.some(({ labelOverruled }) => labelOverruled);
    const silent =
      protocols.some(({ silence }) => silence === 'excluded-by-label') &&
      protocols.every(({ candidates }) => candidates.length === 0);
    if (!overruled && !silent) {
      this.#forget(service, 'label');
      return;
    }
    const every = `every node that could announce it has the label ${excludeLabel}`;
    this.#once(service, 'label', 'Warning', overruled ? 'excludeLabelOverruled' : 'notAnnounced', () =>
      overruled
        ? `${every}: announced all the same, since nobody else could (--strict-exclude keeps silence)`
        : `${every}, and the speakers are strict about it: remove the label from a node, or do without --strict-exclude`,
    );
  }

  /** The Service shares an address, and no node could serve it together with the others. */
  refused(service: Service, address: string, others: readonly string[]): void {
    this.#once(service, `refused ${address}`, 'Warning', 'announceFailed', () => {
      return `${address} is announced for ${others.join(', ')} from other nodes or interfaces than this Service could use`;
    });
  }

  /** Its BGP advertisements contradict each other; undefined: they do not any more. */
  conflict(service: Service, why: string | undefined): void {
    if (why === undefined) this.#forget(service, 'conflict');
    else this.#once(service, 'conflict', 'Warning', 'announceFailed', () => why);
  }

  /** The Service is gone, or no load balancer's any more. */
  forget(key: string): void {
    for (const known of this.#said.keys()) if (known.startsWith(`${key} `)) this.#said.delete(known);
  }

  #once(
    service: Service,
    matter: string,
    type: 'Normal' | 'Warning',
    reason: string,
    message: () => string,
  ): void {
    const place = `${keyOf(service)} ${matter}`;
    const text = `${reason} ${service.metadata.uid}`;
    if (this.#said.get(place) === text) return;
    this.#said.set(place, text);
    this.#tell(service, type, reason, message());
  }

  #forget(service: Service, matter: string): void {
    this.#said.delete(`${keyOf(service)} ${matter}`);
  }

  #tell(service: Service, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { name, namespace, uid, resourceVersion } = service.metadata;
    // An object out of a list does not carry its kind.
    const subject = {
      apiVersion: 'v1',
      kind: 'Service',
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    };
    this.#recorder.event(subject, type, reason, message);
  }
}

const keyOf = ({ metadata }: Service): string => `${metadata.namespace}/${metadata.name}`;
