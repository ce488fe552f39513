import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, keyOf } from '@cloudless/kube/informer/informer';
import type { Logger } from '@cloudless/kube/logger';
import { authorization, certificates, core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { SubjectAccessReview } from '@cloudless/kube/types/authorization-v1';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { Node, Service } from '@cloudless/kube/types/core-v1';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';
import { kubeletClientRule, servingVerdict, signers } from './policy.ts';
import { type ParsedRequest, RequestError, isDecided, parseRequest } from './request.ts';

const workers = 5;
/** Requests by the user who made them. */
const requesterIndex = 'requester';
const addressIndex = 'address';

const nodeAddresses = (node: Node): string[] => (node.status?.addresses ?? []).map((one) => one.address);

/**
 * Approves certificates of kubelets: client certificates as upstream does, when the requester may create
 * `nodeclient` or `selfnodeclient` (pkg/controller/certificates/approver); serving certificates, which upstream
 * leaves to an administrator, when they name the requesting node and nothing else.
 */
export function startCertificateApprover(context: ControllerContext): Controller {
  const requests = context.informers.of(certificates.certificatesigningrequests);
  const nodes = context.informers.of(core.nodes);
  const services = context.informers.of(core.services);
  requests.addIndex(requesterIndex, (csr) => [csr.spec.username ?? '']);
  nodes.addIndex(addressIndex, nodeAddresses);
  services.addIndex(addressIndex, (service) => service.spec?.clusterIPs ?? []);
  const approver = new Approver(
    context.clientFor('certificate-controller'),
    context.clock,
    context.log,
    requests,
    nodes,
    services,
  );
  return startQueue(
    context,
    {
      name: 'certificate_csrapproving',
      workers,
      waitFor: [requests, nodes, services],
      sync: (name, signal) => approver.sync(name, signal),
    },
    (queue) => {
      requests.addHandler({ add: (csr) => queue.add(keyOf(csr)), update: (csr) => queue.add(keyOf(csr)) });
      // A kubelet may ask before its Node tells its addresses.
      const registered = (node: Node): void => {
        for (const csr of requests.store.byIndex(requesterIndex, `system:node:${node.metadata.name}`)) {
          if (!isDecided(csr)) queue.add(keyOf(csr));
        }
      };
      nodes.addHandler({
        add: registered,
        update: (node, old) => {
          if (nodeAddresses(node).join() !== nodeAddresses(old).join()) registered(node);
        },
      });
    },
  );
}

class Approver {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #requests: Informer<CertificateSigningRequest>;
  readonly #nodes: Informer<Node>;
  readonly #services: Informer<Service>;

  constructor(
    client: KubeClient,
    clock: Clock,
    log: Logger,
    requests: Informer<CertificateSigningRequest>,
    nodes: Informer<Node>,
    services: Informer<Service>,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#requests = requests;
    this.#nodes = nodes;
    this.#services = services;
  }

  async sync(name: string, signal: AbortSignal): Promise<void> {
    const csr = this.#requests.store.get(name);
    if (!csr || isDecided(csr) || csr.status?.certificate) return;
    if (csr.spec.signerName !== signers.kubeletClient && csr.spec.signerName !== signers.kubeletServing)
      return;
    let parsed: ParsedRequest;
    try {
      parsed = await parseRequest(csr);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#log.warn({ request: name, err: error }, 'certificate request cannot be read');
      return;
    }
    if (csr.spec.signerName === signers.kubeletServing) await this.#serving(csr, parsed, signal);
    else await this.#clientCertificate(csr, parsed, signal);
  }

  async #clientCertificate(
    csr: CertificateSigningRequest,
    parsed: ParsedRequest,
    signal: AbortSignal,
  ): Promise<void> {
    if (kubeletClientRule(csr, parsed)) return;
    if (csr.spec.username === parsed.commonName && (await this.#mayCreate(csr, 'selfnodeclient', signal))) {
      await this.#approve(
        csr,
        'Auto approving self kubelet client certificate after SubjectAccessReview.',
        signal,
      );
    } else if (await this.#mayCreate(csr, 'nodeclient', signal)) {
      await this.#approve(
        csr,
        'Auto approving kubelet client certificate after SubjectAccessReview.',
        signal,
      );
    }
  }

  async #serving(csr: CertificateSigningRequest, parsed: ParsedRequest, signal: AbortSignal): Promise<void> {
    const nodeName = parsed.commonName.slice('system:node:'.length);
    const node = this.#nodes.store.get(nodeName);
    const verdict = servingVerdict(csr, parsed, {
      own: node && nodeAddresses(node),
      taken: (address) =>
        this.#services.store.byIndex(addressIndex, address).length > 0 ||
        this.#nodes.store.byIndex(addressIndex, address).some((other) => other.metadata.name !== nodeName),
    });
    if (verdict === 'wait') return;
    if (verdict === 'yes') {
      await this.#approve(
        csr,
        'Auto approving kubelet serving certificate for the addresses of its own node.',
        signal,
      );
      return;
    }
    // Left for an administrator, who may know better.
    this.#log.warn(
      { request: csr.metadata.name, requester: csr.spec.username, reason: verdict.refused },
      'serving certificate not approved by itself; approve it with kubectl certificate approve if it is right',
    );
  }

  async #mayCreate(
    csr: CertificateSigningRequest,
    subresource: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { username, uid, groups, extra } = csr.spec;
    const review: SubjectAccessReview = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        ...(username === undefined ? {} : { user: username }),
        ...(uid === undefined ? {} : { uid }),
        ...(groups === undefined ? {} : { groups }),
        ...(extra === undefined ? {} : { extra }),
        resourceAttributes: {
          group: 'certificates.k8s.io',
          resource: 'certificatesigningrequests',
          verb: 'create',
          subresource,
          version: '*',
        },
      },
    };
    const answer = await this.#client.create(authorization.subjectaccessreviews, review, { signal });
    return answer.status?.allowed === true;
  }

  async #approve(csr: CertificateSigningRequest, message: string, signal: AbortSignal): Promise<void> {
    const now = formatTime(this.#clock.nowMs());
    const condition = {
      type: 'Approved',
      status: 'True',
      reason: 'AutoApproved',
      message,
      lastUpdateTime: now,
      lastTransitionTime: now,
    };
    const status = { ...csr.status, conditions: [...(csr.status?.conditions ?? []), condition] };
    try {
      await this.#client.update(
        certificates.certificatesigningrequests,
        { ...csr, status },
        { subresource: 'approval', signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
