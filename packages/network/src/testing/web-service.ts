import { core, discovery } from '@cloudless/kube/resources';
import type { FakeCluster } from '@cloudless/kube/testing/fake-client';
import type { Endpoint } from '@cloudless/kube/types/discovery-v1';
import { until } from './node.ts';
import { nft } from './segment.ts';

/** An endpoint of a Service, by the name of a pod. */
export interface Where {
  name: string;
  /** `n1` when absent. */
  node?: string;
  /** Ready when absent. */
  conditions?: object;
}

const namespace = 'shop';
const table = ['inet', 'cloudless'];

/** Services in a cluster in memory, and the kernel that follows them. */
export class TestServices {
  readonly #cluster: FakeCluster;
  readonly #podIps: ReadonlyMap<string, string>;
  #markers = 0;

  constructor(cluster: FakeCluster, podIps: ReadonlyMap<string, string>) {
    this.#cluster = cluster;
    this.#podIps = podIps;
  }

  /** Makes a Service of type LoadBalancer with an EndpointSlice, and the addresses that a controller would give it. */
  async create(options: {
    name: string;
    spec: object;
    addresses: readonly string[];
    ports: object[];
    endpoints: readonly Endpoint[];
    addressType?: string;
  }): Promise<void> {
    const { name } = options;
    const metadata = { name, namespace, labels: { 'kubernetes.io/service-name': name } };
    await this.#cluster.client.create(core.services, {
      metadata,
      spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', ...options.spec },
    });
    const ingress = options.addresses.map((ip) => ({ ip, ipMode: 'VIP' }));
    const status = { subresource: 'status', namespace };
    await this.#cluster.client.patch(
      core.services,
      name,
      'merge',
      { status: { loadBalancer: { ingress } } },
      status,
    );
    await this.#cluster.client.create(discovery.endpointslices, {
      metadata,
      addressType: options.addressType ?? 'IPv4',
      ports: options.ports,
      endpoints: [...options.endpoints],
    });
  }

  async delete(name: string): Promise<void> {
    await this.#cluster.client.delete(core.services, name, { namespace }).catch(() => {});
    await this.#cluster.client.delete(discovery.endpointslices, name, { namespace }).catch(() => {});
  }

  /** Makes the Service `web` anew: TCP and UDP at 31415, the other servers of a probe where `spec` names their ports. Waits for the kernel. */
  async serve(spec: object, endpoints: readonly Where[], addresses: readonly string[]): Promise<void> {
    await this.delete('web');
    await this.settled();
    const ports = [
      { name: 'tcp', port: 31415, protocol: 'TCP' },
      { name: 'udp', port: 31415, protocol: 'UDP' },
    ];
    await this.create({
      name: 'web',
      spec: { clusterIP: '10.96.0.80', clusterIPs: ['10.96.0.80'], ports, ...spec },
      addresses,
      ports: [
        { name: 'tcp', port: 8080, protocol: 'TCP' },
        { name: 'udp', port: 8080, protocol: 'UDP' },
        { name: 'echo', port: 8081, protocol: 'TCP' },
        { name: 'bulk', port: 8082, protocol: 'TCP' },
      ],
      endpoints: endpoints.map((where) => this.endpoint(where)),
    });
    await this.settled();
  }

  endpoint({ name, node = 'n1', conditions = { ready: true } }: Where): Endpoint {
    return { addresses: [this.#podIps.get(name) as string], nodeName: node, conditions };
  }

  /** Gives `web` other endpoints. Waits for the kernel. */
  async leadTo(...endpoints: Where[]): Promise<void> {
    const patch = { endpoints: endpoints.map((where) => this.endpoint(where)) };
    await this.#cluster.client.patch(discovery.endpointslices, 'web', 'merge', patch, { namespace });
    await this.settled();
  }

  /** Changes the spec of `web`. Waits for the kernel. */
  async change(spec: object): Promise<void> {
    await this.#cluster.client.patch(core.services, 'web', 'merge', { spec }, { namespace });
    await this.settled();
  }

  /** Waits until the kernel has everything so far: a Service made now has come there after it. */
  async settled(): Promise<void> {
    this.#markers += 1;
    const name = `marker-${this.#markers}`;
    const clusterIP = `10.97.${this.#markers >> 8}.${this.#markers & 255}`;
    await this.create({
      name,
      spec: { type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ports: [{ port: 1 }] },
      addresses: [],
      ports: [{ port: 1, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.244.200.1'] }],
    });
    await until('the kernel has what was asked for', () =>
      nft('list', 'map', ...table, 'services-frontends4').includes(`${clusterIP} . tcp . 1 `),
    );
    await this.delete(name);
  }
}
