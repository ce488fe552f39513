// `node bench/network.ts`: 10,000 Services of type LoadBalancer in nftables, in a network namespace of its own. Needs root.
import { execFileSync } from 'node:child_process';
import { connect, createServer } from 'node:net';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { openNft } from '@cloudless/network/nft/libnftables';
import { openTable } from '@cloudless/network/nft/table';
import { frontendsOf, servedAddressesOf } from '@cloudless/network/services/model';
import { type ServiceChange, ServiceProgram } from '@cloudless/network/services/program';
import { isolate } from '@cloudless/network/testing/namespaces';
import { median, ms, printTable, quantile, type Row } from './table.ts';

const services = Number(process.env.SERVICES ?? 10_000);
const nodeIp = '127.0.0.1';
const node = { name: 'n1', addresses: [nodeIp], addressesOfNodes: new Set([nodeIp]) };
const clusterCidrs = ['10.244.0.0/16'];
const last = (i: number): string => `${i >> 8}.${i & 255}`;

isolate();
execFileSync('ip', ['route', 'add', 'default', 'dev', 'lo']);
const table = openTable(openNft());

/** The `i`th Service with these pods, as the API would have it. */
function describe(i: number, spec: object, pods: readonly string[], port: number): [Service, EndpointSlice] {
  const clusterIP = `10.96.${last(i)}`;
  return [
    {
      metadata: { name: `web-${i}`, namespace: 'bench' },
      spec: { type: 'LoadBalancer', clusterIP, clusterIPs: [clusterIP], ports: [{ port: 80 }], ...spec },
      status: { loadBalancer: { ingress: [{ ip: `100.64.${last(i)}`, ipMode: 'VIP' }] } },
    },
    {
      metadata: { name: `web-${i}`, namespace: 'bench' },
      addressType: 'IPv4',
      ports: [{ port, protocol: 'TCP' }],
      endpoints: pods.map((ip) => ({ addresses: [ip], nodeName: 'n1' })),
    },
  ];
}

function put(
  program: ServiceProgram,
  i: number,
  spec: object,
  pods: readonly string[],
  port = 8080,
): ServiceChange {
  const [service, slice] = describe(i, spec, pods, port);
  return program.set(`bench/web-${i}`, frontendsOf(service, [slice], node), servedAddressesOf(service, node));
}

const podsOf = (i: number): string[] => [1, 2, 3].map((block) => `10.244.${block}.${i & 255}`);
/** Processor time of this process, which is all that it takes: nft's library and the kernel answer in the same thread. */
const timed = (work: () => void): number => {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
};

function load(what: string, spec: object): { rows: Row[]; program: ServiceProgram } {
  const program = new ServiceProgram({ nodeIp, clusterCidrs, serviceCidrs: ['10.96.0.0/12'] });
  const meaning = timed(() => {
    for (let i = 0; i < services; i++) put(program, i, spec, podsOf(i));
  });
  const build = timed(() => table.replace([program.content()]));
  const changes = Array.from({ length: 200 }, (_, n) => {
    const change = put(program, n * 7, spec, podsOf(n * 7).slice(0, 1 + ((n + 1) % 2)));
    return timed(() => table.change('services', change.script));
  });
  return {
    program,
    rows: [
      { what: `${what}: what they mean`, value: ms(meaning) },
      { what: `${what}: in the kernel, all at once`, value: ms(build), goal: '< 1 s' },
      { what: `${what}: one Service's endpoints change, p50`, value: `${median(changes).toFixed(2)} ms` },
      { what: `${what}: the same, p99`, value: `${quantile(changes, 0.99).toFixed(2)} ms` },
    ],
  };
}

async function connects(host: string, port: number): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < 3000; i++) {
    const startMs = performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one after the other is what is measured
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host, port }, () => {
        samples.push(performance.now() - startMs);
        socket.destroy();
        resolve();
      }).on('error', reject);
    });
  }
  return median(samples);
}

const rows: Row[] = [];
rows.push(...load('Cluster', { externalTrafficPolicy: 'Cluster' }).rows);
rows.push(
  ...load('Local, two source ranges', {
    externalTrafficPolicy: 'Local',
    loadBalancerSourceRanges: ['10.0.0.0/8', '192.0.2.0/24'],
  }).rows,
);
rows.push(...load('affinity', { sessionAffinity: 'ClientIP' }).rows);

const server = createServer((socket) => socket.on('error', () => {}).end());
await new Promise<void>((resolve) => server.listen(0, nodeIp, resolve));
const { port } = server.address() as { port: number };
rows.push({ what: 'TCP connect, no table', value: '' });
table.remove();
(rows.at(-1) as Row).value = `${(1000 * (await connects(nodeIp, port))).toFixed(0)} µs`;
const { program } = load('', {});
table.change('services', put(program, 1, {}, [nodeIp], port).script);
rows.push({
  what: 'TCP connect to a virtual address',
  value: `${(1000 * (await connects(`100.64.${last(1)}`, 80))).toFixed(0)} µs`,
});
server.close();
table.remove();
printTable(`${services} Services of type LoadBalancer, three endpoints each`, rows);
