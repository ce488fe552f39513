// Allocation of addresses: the controller's own time for 10,000 Services, without the API's.
import { parseConfiguration } from '../packages/loadbalancer/src/config/parse.ts';
import { Allocator } from '../packages/loadbalancer/src/controller/allocator.ts';
import { converge } from '../packages/loadbalancer/src/controller/converge.ts';
import type { Service } from '../packages/kube/src/generated/types/core-v1.ts';
import { printTable, type Row } from './table.ts';

const count = 10_000;
const rows: Row[] = [];

interface Shape {
  addresses: string[];
  spec?: object;
  port?: (i: number) => number;
  annotations?: (i: number) => Record<string, string>;
  pool?: object;
}

function servicesOf({ spec = {}, port = () => 80, annotations }: Shape): Service[] {
  return Array.from({ length: count }, (_, i) => ({
    metadata: { name: `service-${i}`, namespace: `ns-${i % 100}`, annotations: annotations?.(i) ?? {} },
    spec: {
      type: 'LoadBalancer',
      clusterIPs: ['10.96.0.1'],
      ports: [{ protocol: 'TCP', port: port(i) }],
      ...spec,
    },
  }));
}

function allocatorOf({ addresses, pool }: Shape): Allocator {
  const parsed = parseConfiguration({
    ipAddressPools: [{ metadata: { name: 'pool', namespace: 'lb' }, spec: { addresses, ...pool } }],
  });
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.problems));
  const allocator = new Allocator();
  allocator.setPools(parsed.config.pools);
  return allocator;
}

/** Processor time of this thread: what else the machine does is not counted. */
function ownMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function measure(what: string, run: () => void, goal?: string): void {
  const startMs = ownMs();
  run();
  const value = `${(ownMs() - startMs).toFixed(1)} ms`;
  rows.push(goal === undefined ? { what, value } : { what, value, goal });
}

/** Allocates all; answers them as they stand in the API afterwards. */
function all(allocator: Allocator, services: Service[]): Service[] {
  return services.map((service) => {
    const { assigned } = converge(allocator, service, {});
    if (!assigned) throw new Error(`${service.metadata.name} got no address`);
    return {
      ...service,
      status: { loadBalancer: { ingress: assigned.addresses.map(({ text }) => ({ ip: text })) } },
    };
  });
}

const plain: Shape = { addresses: ['10.0.0.0/16'] };
const allocator = allocatorOf(plain);
let assigned: Service[] = [];
measure(`${count} new Services from a /16`, () => (assigned = all(allocator, servicesOf(plain))), '< 200 ms');
measure(`the same again, unchanged`, () => void all(allocator, assigned));
measure(
  `a restart: ${count} Services keep what their status has`,
  () => void all(allocatorOf(plain), assigned),
);
measure('one goes and one comes, 10,000 times', () => {
  for (const service of assigned) {
    allocator.release(`${service.metadata.namespace}/${service.metadata.name}`);
    all(allocator, [{ ...service, status: {} }]);
  }
});
for (const [what, shape] of Object.entries<Shape>({
  'avoiding .0 and .255': { ...plain, pool: { avoidBuggyIPs: true } },
  'dual stack from a /16 and a /64': {
    addresses: ['10.0.0.0/16', '2001:db8::/64'],
    spec: { clusterIPs: ['10.96.0.1', 'fd00::1'], ipFamilyPolicy: 'RequireDualStack' },
  },
  'ten to an address by a sharing key each': {
    ...plain,
    annotations: (i) => ({ 'metallb.io/allow-shared-ip': `key-${Math.floor(i / 10)}` }),
    port: (i) => 80 + (i % 10),
  },
  'one sharing key, all on one port': {
    ...plain,
    annotations: () => ({ 'metallb.io/allow-shared-ip': 'key' }),
  },
})) {
  const services = servicesOf(shape);
  measure(`${count} new Services, ${what}`, () => void all(allocatorOf(shape), services), '< 200 ms');
}
printTable('Load balancer: the controller’s own time', rows);
