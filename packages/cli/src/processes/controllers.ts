import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiServer } from '@cloudless/apiserver/server/options';
import { startControllers } from '@cloudless/controllers';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { serviceAccountUser } from '@cloudless/kube/user';

/** Starts the parts that are clients of the API, each under an identity of its own; they retry until it serves them. */
export function startControlPlaneClients(context: NodeContext, api: ApiServer): Running[] {
  return [
    startControllers({
      clientFor: (account) => api.clientFor(serviceAccountUser('kube-system', account)),
      caCertificate: readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
      clock: context.clock,
      log: logger('controllers'),
    }),
  ];
}
