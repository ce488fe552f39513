import { keyOf } from '@cloudless/kube/informer/informer';
import { certificates } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { parseTime } from '@cloudless/kube/time';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { conditionOf } from './request.ts';

const hourMs = 3_600_000;
/** How long a request is kept (upstream: pkg/controller/certificates/cleaner). */
const pendingMs = 24 * hourMs;
const decidedMs = hourMs;

/** When a request has served its purpose, in milliseconds since the epoch. */
export function expiresAtMs(csr: CertificateSigningRequest): number {
  const since = (type: string): number | undefined => {
    if (!conditionOf(csr, type)) return undefined;
    const condition = csr.status?.conditions?.find((one) => one.type === type);
    return parseTime(
      condition?.lastUpdateTime ?? condition?.lastTransitionTime ?? csr.metadata.creationTimestamp,
    );
  };
  const decided =
    since('Denied') ?? since('Failed') ?? (csr.status?.certificate ? since('Approved') : undefined);
  if (decided !== undefined) return decided + decidedMs;
  return parseTime(csr.metadata.creationTimestamp) + pendingMs;
}

/** Deletes certificate requests that have been answered, or that nobody answers. */
export function startCertificateCleaner(context: ControllerContext): Controller {
  const client = context.clientFor('certificate-controller');
  const requests = context.informers.of(certificates.certificatesigningrequests);
  const sync = async (name: string, signal: AbortSignal): Promise<void | { requeueAfterMs: number }> => {
    const csr = requests.store.get(name);
    if (!csr) return;
    const leftMs = expiresAtMs(csr) - context.clock.nowMs();
    // Written so that a time that cannot be read keeps the request.
    if (!(leftMs <= 0)) return { requeueAfterMs: Number.isNaN(leftMs) ? pendingMs : leftMs };
    const { uid } = csr.metadata;
    try {
      await client.delete(certificates.certificatesigningrequests, name, {
        ...(uid === undefined ? {} : { preconditions: { uid } }),
        signal,
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  return startQueue(
    context,
    { name: 'certificate_csrcleaner', workers: 1, waitFor: [requests], sync },
    (queue) => {
      requests.addHandler({ add: (csr) => queue.add(keyOf(csr)), update: (csr) => queue.add(keyOf(csr)) });
    },
  );
}
