import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import dnsPacket, { type Packet } from 'dns-packet';
import { defaultCorefile } from '../corefile/default.ts';
import { readCorefile } from '../corefile/read.ts';
import { LoopWatch } from '../forward/loop.ts';
import { CacheCounts, forwardMetrics } from '../forward/metrics.ts';
import { dnsMetrics } from '../metrics.ts';
import type { Peer } from '../server/request.ts';
import { Networks, privateNetworks } from './networks.ts';
import { Responder } from './responder.ts';
import { ServerBlocks } from './server-blocks.ts';
import { ServiceIndex } from './service-index.ts';

export type Decoded = Packet & { rcode: string; flag_tc: boolean; flag_aa: boolean };

/** A cluster DNS without sockets of its own and without an API: objects are put, bytes are asked. For tests. */
export class TestCluster {
  readonly services = new ServiceIndex();
  readonly namespaces = new Map<string, Record<string, string>>();
  readonly pods = new Set<string>();
  readonly counts = new CacheCounts();
  readonly lines: string[] = [];
  readonly responder: Responder;
  readonly blocks: ServerBlocks;
  isSynced = true;
  /** Monotonic. */
  nowMs = 0;

  constructor(corefile = defaultCorefile('cluster.local', '/nowhere/resolv.conf')) {
    const note = (...args: unknown[]): void => void this.lines.push(String(args.at(-1)));
    const log = { info: note, warn: note, error: note };
    const metrics = dnsMetrics();
    const loops = new LoopWatch();
    this.responder = new Responder({ access: new Networks(privateNetworks), loops, metrics, log });
    this.blocks = new ServerBlocks(
      {
        state: {
          services: this.services,
          namespaceLabels: (name) => this.namespaces.get(name),
          hasPod: (namespace, ip) => this.pods.has(`${namespace} ${ip}`),
          networks: new Networks(['10.96.0.0/12', '10.244.0.0/16', 'fd00::/64']),
          clusterIp: '10.96.0.10',
        },
        isSynced: () => this.isSynced,
        own: new Set(),
        loops,
        metrics: forwardMetrics(metrics.registry),
        counts: this.counts,
        log,
        nowMs: () => this.nowMs,
      },
      this.responder,
    );
    this.use(corefile);
  }

  use(corefile: string): void {
    this.blocks.use(readCorefile(corefile));
  }

  put(service: Service, ...slices: EndpointSlice[]): void {
    const { namespace, name } = service.metadata as { namespace: string; name: string };
    this.namespaces.set(namespace, this.namespaces.get(namespace) ?? {});
    this.services.set(namespace, name, service, slices);
  }

  async ask(
    name: string,
    type = 'A',
    more: { transport?: Peer['transport']; from?: string } = {},
  ): Promise<Decoded> {
    const query = dnsPacket.encode({
      type: 'query',
      id: 4711,
      flags: dnsPacket.RECURSION_DESIRED,
      questions: [{ type: type as 'A', name }],
    });
    const client: Peer = {
      address: more.from ?? '10.244.0.9',
      port: 5353,
      transport: more.transport ?? 'udp',
    };
    const answer = await this.responder.handle(query, client);
    if (!answer) throw new Error('there is no answer');
    return dnsPacket.decode(answer) as unknown as Decoded;
  }

  stop(): Promise<void> {
    return this.blocks.stop();
  }
}

/** A Service of namespace `shop`. */
export const service = (
  name: string,
  spec: Service['spec'],
  labels: Record<string, string> = {},
): Service => ({
  metadata: { name, namespace: 'shop', labels },
  spec: { ...spec },
});

/** A slice of namespace `shop`. */
export const slice = (
  serviceName: string,
  endpoints: ReadonlyArray<{ ip: string; hostname?: string; ready?: boolean; pod?: string }>,
  ports: EndpointSlice['ports'] = [{ name: 'sql', port: 5432, protocol: 'TCP' }],
): EndpointSlice => ({
  metadata: {
    name: `${serviceName}-${endpoints[0]?.ip}`,
    namespace: 'shop',
    labels: { 'kubernetes.io/service-name': serviceName },
  },
  addressType: endpoints[0]?.ip.includes(':') ? 'IPv6' : 'IPv4',
  ports,
  endpoints: endpoints.map(({ ip, hostname, ready, pod }) => ({
    addresses: [ip],
    ...(hostname === undefined ? {} : { hostname }),
    ...(ready === undefined ? {} : { conditions: { ready } }),
    ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', name: pod, namespace: 'shop' } }),
  })),
});

/** What answers say, as `dig +short` would. */
export const short = (packet: Packet, section: 'answers' | 'additionals' = 'answers'): string[] =>
  (packet[section] ?? []).map((record) => {
    if (record.type === 'SRV')
      return `${record.data.priority} ${record.data.weight} ${record.data.port} ${record.data.target}`;
    if (record.type === 'TXT') return [record.data].flat().map(String).join('');
    if (record.type === 'SOA') return record.data.mname;
    return 'data' in record && typeof record.data === 'string' ? record.data : '';
  });
