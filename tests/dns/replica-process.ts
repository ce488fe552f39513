/** One replica of the authoritative DNS, to be killed: `node replica-process.ts KUBECONFIG ADDRESS`, on port 53. */
import { readFileSync } from 'node:fs';
import { startExternalDns } from '@cloudless/dns/external/start';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { logger } from '@cloudless/kube/logger';

const [kubeconfig = '', address = ''] = process.argv.slice(2);
const client = clientFromKubeconfig(readFileSync(kubeconfig, 'utf8'));
const log = logger('replica').child({ address }, { level: process.env['LEVEL'] ?? 'info' });
const dns = await startExternalDns({
  client,
  config: { from: 'cluster' },
  addresses: [address],
  port: 53,
  log,
});
await dns.ready;
process.send?.('ready');
