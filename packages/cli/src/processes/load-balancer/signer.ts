import { CertificateAuthority } from '@cloudless/controllers/certificates/authority';
import {
  isDecided,
  type ParsedRequest,
  parseRequest,
  RequestError,
} from '@cloudless/controllers/certificates/request';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { keyOf, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { certificates } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { WorkQueue } from '@cloudless/kube/workqueue/workqueue';
import { speakerSigner, speakersGroup, speakerUser } from './names.ts';

export interface SpeakerSignerOptions {
  /** May approve and sign for {@link speakerSigner}. */
  client: KubeClient;
  /** PEM of the CA of client certificates. */
  caCertificate: string;
  caKey: string;
  clock: Clock;
  log: Logger;
}

const nodePrefix = 'system:node:';
const usages = 'client auth,digital signature';

/** Why a request gets no certificate; undefined: it may. A node may have one for its own speaker, and nothing else. */
export function whyNotSpeaker(csr: CertificateSigningRequest, parsed: ParsedRequest): string | undefined {
  const { username = '', groups = [] } = csr.spec;
  if (!username.startsWith(nodePrefix) || !groups.includes('system:nodes'))
    return `${username} is no node, and only nodes have speakers`;
  const wanted = speakerUser(username.slice(nodePrefix.length));
  if (parsed.commonName !== wanted)
    return `${username} may have a certificate for ${wanted}, not for ${parsed.commonName}`;
  if (parsed.organizations.join() !== speakersGroup) return `the organization is not ${speakersGroup} alone`;
  const names = [...parsed.dnsNames, ...parsed.ipAddresses, ...parsed.emails, ...parsed.uris];
  if (names.length > 0) return 'a client certificate has no alternative names';
  return [...(csr.spec.usages ?? [])].sort().join() === usages ? undefined : `the usages are not ${usages}`;
}

/**
 * Gives each node's speaker a client certificate of its own: the node agent asks with the node's credentials, which the
 * speaker never sees. A service account's token would be the other way, but a node may ask for those only that are bound
 * to its pods (NodeRestriction), and the speaker is none.
 */
export function startSpeakerSigner(options: SpeakerSignerOptions): Running {
  const { client, clock, log } = options;
  const queue = new WorkQueue({ name: 'speaker_signer', clock });
  const stopping = new AbortController();
  const requests = startInformer({
    client,
    resource: certificates.certificatesigningrequests,
    fieldSelector: `spec.signerName=${speakerSigner}`,
    clock,
    log,
  });
  const touch = (csr: CertificateSigningRequest): void => queue.add(keyOf(csr));
  requests.addHandler({ add: touch, update: touch });
  let authority: Promise<CertificateAuthority> | undefined;
  const sync = async (name: string): Promise<void> => {
    const csr = requests.store.get(name);
    if (!csr || csr.status?.certificate || isDecided(csr)) return;
    authority ??= CertificateAuthority.load(options.caCertificate, options.caKey);
    await decide(csr, { ...options, authority: await authority, signal: stopping.signal });
  };
  const work = async (): Promise<void> => {
    for (;;) {
      const name = await queue.get();
      if (name === undefined) return;
      try {
        await sync(name);
        queue.forget(name);
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.debug({ err: error, request: name }, 'speaker certificate not given; tried again');
        queue.addRateLimited(name);
      } finally {
        queue.done(name);
      }
    }
  };
  const working = work();
  return running(async () => {
    stopping.abort(new Error('the signer is stopped'));
    queue.shutDown();
    await requests.stop();
    await working;
  });
}

async function decide(
  csr: CertificateSigningRequest,
  context: SpeakerSignerOptions & { authority: CertificateAuthority; signal: AbortSignal },
): Promise<void> {
  const { client, clock, authority, signal } = context;
  const now = formatTime(clock.nowMs());
  const write = async (
    object: CertificateSigningRequest,
    subresource: 'approval' | 'status',
  ): Promise<CertificateSigningRequest | undefined> => {
    try {
      return await client.update(certificates.certificatesigningrequests, object, { subresource, signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const withCondition = (
    type: 'Approved' | 'Denied',
    reason: string,
    message: string,
  ): CertificateSigningRequest => ({
    ...csr,
    status: {
      ...csr.status,
      conditions: [
        ...(csr.status?.conditions ?? []),
        { type, status: 'True', reason, message, lastUpdateTime: now, lastTransitionTime: now },
      ],
    },
  });
  let parsed: ParsedRequest;
  try {
    parsed = await parseRequest(csr);
    const why = whyNotSpeaker(csr, parsed);
    if (why !== undefined) throw new RequestError(why);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    await write(withCondition('Denied', 'SpeakerRequestRefused', error.message), 'approval');
    return;
  }
  const approved = await write(
    withCondition('Approved', 'AutoApproved', 'For the speaker of the node that asks.'),
    'approval',
  );
  if (!approved) return;
  const pem = await authority.sign(approved, parsed, clock.nowMs());
  const certificate = Buffer.from(pem).toString('base64');
  await write({ ...approved, status: { ...approved.status, certificate } }, 'status');
}
