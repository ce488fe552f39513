// Cluster DNS with nothing in its cluster, forwarding to one server: `our-cluster-dns.ts PORT UPSTREAM-PORT`.
import { startClusterDns } from '@cloudless/dns/index';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import { freePort } from '@cloudless/kube/testing/free-port';

const [port = '', upstream = ''] = process.argv.slice(2);
const cluster = new FakeCluster();
const corefile = `.:53 {
  kubernetes cluster.local
  forward . 127.0.0.1:${upstream}
  cache 30
}`;
cluster.seed(core.configmaps, {
  metadata: { name: 'coredns', namespace: 'kube-system' },
  data: { Corefile: corefile },
});
const dns = await startClusterDns({
  client: cluster.client,
  addresses: ['127.0.0.1'],
  port: Number(port),
  healthPort: await freePort(),
  clusterDomain: 'cluster.local',
  resolvConf: '/dev/null',
  clusterIp: '10.96.0.10',
  log: logger('dns').child({}, { level: 'error' }),
});
process.once('SIGTERM', () => void dns.stop());
