import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { serviceAccountUser } from '@cloudless/kube/user';
import { startController } from '@cloudless/loadbalancer/controller/controller';
import { loadBalancerNamespace } from './names.ts';
import { startSpeakerSigner } from './signer.ts';

/** The load balancer's parts in the control plane's process, each under an identity of its own. */
export async function startLoadBalancer(
  context: NodeContext,
  api: ApiServer,
): Promise<Running & { metrics(): string | Promise<string> }> {
  const { clock } = context;
  const log = logger('loadbalancer');
  const clientFor = (account: string) => api.clientFor(serviceAccountUser('kube-system', account));
  const controller = await startController({
    client: clientFor('loadbalancer-controller'),
    stateNamespace: loadBalancerNamespace,
    clock,
    log,
  });
  const signer = startSpeakerSigner({
    client: clientFor('speaker-signer'),
    caCertificate: readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
    caKey: readFileSync(join(context.paths.pki, 'ca.key'), 'utf8'),
    clock,
    log,
  });
  return {
    ...running(async () => {
      await signer.stop();
      await controller.stop();
    }),
    metrics: () => controller.metrics(),
  };
}
