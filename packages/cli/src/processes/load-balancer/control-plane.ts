import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { serviceAccountUser } from '@cloudless/kube/user';
import { type LoadBalancerController, startController } from '@cloudless/loadbalancer/controller/controller';
import { loadBalancerNamespace } from './names.ts';
import { kindsServed } from './served.ts';
import { startSpeakerSigner } from './signer.ts';

/** The load balancer's parts in the control plane's process, each under an identity of its own. Returns at once. */
export function startLoadBalancer(
  context: NodeContext,
  api: ApiServer,
): Running & { metrics(): string | Promise<string> } {
  const { clock } = context;
  const log = logger('loadbalancer');
  const clientFor = (account: string) => api.clientFor(serviceAccountUser('kube-system', account));
  const stopping = new AbortController();
  let controller: LoadBalancerController | undefined;
  const start = async (): Promise<void> => {
    const client = clientFor('loadbalancer-controller');
    await kindsServed(client, clock, stopping.signal);
    if (stopping.signal.aborted) return;
    controller = await startController({ client, stateNamespace: loadBalancerNamespace, clock, log });
  };
  const starting = start().catch((error: unknown) =>
    log.error({ err: error }, 'addresses of load balancers are not given out'),
  );
  const signer = startSpeakerSigner({
    client: clientFor('speaker-signer'),
    caCertificate: readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
    caKey: readFileSync(join(context.paths.pki, 'ca.key'), 'utf8'),
    clock,
    log,
  });
  return {
    ...running(async () => {
      stopping.abort();
      await signer.stop();
      await starting;
      await controller?.stop();
    }),
    metrics: () => controller?.metrics() ?? '',
  };
}
