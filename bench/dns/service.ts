import { setTimeout as pause } from 'node:timers/promises';
import { startCluster } from 'cloudless/testing';
import { startExternalDns } from '@cloudless/dns/external/start';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { ms, printTable, quantile } from '../table.ts';
import { ask } from './server-process.ts';

const services = 30;
const values = `
externalDNS:
  sources: [service]
zones:
  bench.test: |
    $TTL 60
    @ SOA ns1 hostmaster 1 900 600 172800 60
    @ NS ns1
    ns1 A 192.0.2.53
`;

/** From the moment at which a Service has its address until DNS says so, in a cluster in this process. */
export async function measureService(): Promise<void> {
  await using cluster = await startCluster({ nodes: 0 });
  const { client } = cluster;
  await client.create(core.namespaces, { metadata: { name: 'cloudless-dns' } });
  await client.create(core.configmaps, {
    metadata: { name: 'values', namespace: 'cloudless-dns' },
    data: { 'values.yaml': values },
  });
  const log = logger('dns').child({}, { level: 'error' });
  const dns = await startExternalDns({
    client,
    config: { from: 'cluster' },
    addresses: ['127.0.0.1'],
    port: 0,
    log,
  });
  try {
    await dns.ready;
    const times: number[] = [];
    for (let i = 0; i < services; i++) times.push(await oneService(cluster, dns.ports.dns, i));
    printTable('A LoadBalancer Service gets its address, and its name is answered', [
      {
        what: `p50 of ${services}`,
        value: ms(quantile(times, 0.5)),
        goal: '< 100 ms (external-dns: 30 to 60 s)',
      },
      { what: 'slowest', value: ms(Math.max(...times)) },
    ]);
  } finally {
    await dns.stop();
  }
}

async function oneService(
  { client }: Awaited<ReturnType<typeof startCluster>>,
  port: number,
  i: number,
): Promise<number> {
  const [name, ip] = [`s${i}`, `192.0.2.${100 + i}`];
  const service = await client.create(core.services, {
    metadata: {
      name,
      namespace: 'default',
      annotations: { 'external-dns.alpha.kubernetes.io/hostname': `${name}.bench.test` },
    },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  });
  const startedMs = performance.now();
  await client.update(
    core.services,
    { ...service, status: { loadBalancer: { ingress: [{ ip }] } } },
    { subresource: 'status' },
  );
  while ((await ask(port, `${name}.bench.test`)) !== ip) await pause(1);
  return performance.now() - startedMs;
}
