import type { Pod } from '@cloudless/kube/types/core-v1';
import { type Amounts, podResources } from '../resources/amounts.ts';

export interface HostPort {
  port: number;
  protocol: string;
  ip: string;
}

/** The ports of the node that a pod's containers ask for. */
export function hostPortsOf(pod: Pod): HostPort[] {
  return (pod.spec?.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({
        port: port.hostPort!,
        protocol: port.protocol ?? 'TCP',
        ip: port.hostIP || '0.0.0.0',
      })),
  );
}

/** What the pods that run here have taken of the node; kept as they come and go, since there may be thousands. */
export class Occupancy {
  readonly #pods = new Map<string, { requests: Amounts; ports: readonly HostPort[] }>();
  readonly #used = new Map<string, number>();
  readonly #ports = new Set<HostPort>();

  add(pod: Pod): void {
    const uid = pod.metadata.uid!;
    this.remove(uid);
    const entry = { requests: podResources(pod).requests, ports: hostPortsOf(pod) };
    this.#pods.set(uid, entry);
    for (const [name, amount] of entry.requests) this.#used.set(name, this.used(name) + amount);
    for (const port of entry.ports) this.#ports.add(port);
  }

  remove(uid: string): void {
    const entry = this.#pods.get(uid);
    if (!entry) return;
    this.#pods.delete(uid);
    for (const [name, amount] of entry.requests) this.#used.set(name, this.used(name) - amount);
    for (const port of entry.ports) this.#ports.delete(port);
  }

  /** Of a resource, or of `pods`. */
  used(name: string): number {
    return name === 'pods' ? this.#pods.size : (this.#used.get(name) ?? 0);
  }

  /** Whether a port is taken: one on every address is taken on each. */
  holds(wanted: HostPort): boolean {
    for (const held of this.#ports) {
      if (held.port !== wanted.port || held.protocol !== wanted.protocol) continue;
      if (held.ip === wanted.ip || held.ip === '0.0.0.0' || wanted.ip === '0.0.0.0') return true;
    }
    return false;
  }
}
