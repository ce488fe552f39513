import { keyOf } from '@cloudless/kube/informer/informer';
import { certificates } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { CertificateAuthority, UsageError } from './authority.ts';
import { signingRules } from './policy.ts';
import { RequestError, conditionOf, parseRequest } from './request.ts';

const workers = 5;

export interface SignerOptions {
  /** PEM of the CA that signs. */
  certificate: string;
  key: string;
}

/** Issues approved certificates of the built-in signers (upstream: pkg/controller/certificates/signer). */
export function startCertificateSigner(context: ControllerContext, options: SignerOptions): Controller {
  const client = context.clientFor('certificate-controller');
  const requests = context.informers.of(certificates.certificatesigningrequests);
  const authority = CertificateAuthority.load(options.certificate, options.key);
  authority.catch((error: unknown) => context.log.error({ err: error }, 'certificates cannot be signed'));
  const write = async (csr: CertificateSigningRequest, signal: AbortSignal): Promise<void> => {
    try {
      await client.update(certificates.certificatesigningrequests, csr, { subresource: 'status', signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  const sync = async (name: string, signal: AbortSignal): Promise<void> => {
    const csr = requests.store.get(name);
    if (!csr || csr.status?.certificate || !conditionOf(csr, 'Approved')) return;
    if (conditionOf(csr, 'Denied') || conditionOf(csr, 'Failed')) return;
    const rule = Object.hasOwn(signingRules, csr.spec.signerName)
      ? signingRules[csr.spec.signerName]
      : undefined;
    if (!rule) return;
    try {
      const parsed = await parseRequest(csr);
      const problem = rule(csr, parsed);
      if (problem) throw new RequestError(`invalid usage for ${csr.spec.signerName}: ${problem}`);
      const pem = await (await authority).sign(csr, parsed, context.clock.nowMs());
      const certificate = Buffer.from(pem).toString('base64');
      await write({ ...csr, status: { ...csr.status, certificate } }, signal);
    } catch (error) {
      if (!(error instanceof RequestError) && !(error instanceof UsageError)) throw error;
      // It will not get better by trying again: the requester is told.
      await write(failed(csr, error.message, context.clock.nowMs()), signal);
    }
  };
  return startQueue(
    context,
    { name: 'certificate_csrsigning', workers, waitFor: [requests], sync },
    (queue) => {
      requests.addHandler({ add: (csr) => queue.add(keyOf(csr)), update: (csr) => queue.add(keyOf(csr)) });
    },
  );
}

function failed(csr: CertificateSigningRequest, message: string, nowMs: number): CertificateSigningRequest {
  const now = formatTime(nowMs);
  const condition = {
    type: 'Failed',
    status: 'True',
    reason: 'SignerValidationFailure',
    message,
    lastUpdateTime: now,
    lastTransitionTime: now,
  };
  return { ...csr, status: { ...csr.status, conditions: [...(csr.status?.conditions ?? []), condition] } };
}
