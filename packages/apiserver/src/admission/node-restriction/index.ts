import { isDeepStrictEqual } from 'node:util';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { TokenRequest } from '@cloudless/kube/types/authentication-v1';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { Node, PersistentVolumeClaim, Pod } from '@cloudless/kube/types/core-v1';
import type { ResourceSlice } from '@cloudless/kube/types/resource-v1';
import { lookup } from '../../authn/lookup.ts';
import { requestedSubject } from '../../authn/subject.ts';
import type { Authorizer } from '../../authz/authorizer.ts';
import { nodeNameOf } from '../../authz/node/authorizer.ts';
import type { Caches } from '../../cache/cache.ts';
import { forbidden, isMirrorPod, mirrorAnnotation, resourceOf } from '../forbid.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../plugin.ts';
import { apiReference } from './api-references.ts';
import { forbiddenLabelChanges } from './labels.ts';
import { audienceProblem } from './token-audience.ts';

const nodeSigners: ReadonlySet<string> = new Set([
  'kubernetes.io/kubelet-serving',
  'kubernetes.io/kube-apiserver-client-kubelet',
]);

/**
 * What the Node authorizer must leave open because the object is not known there: a node writes its own Node, its
 * own pods' status and mirrors, and asks for tokens of its own pods (upstream: plugin/pkg/admission/noderestriction).
 * Everything is checked on the object as it is after all mutation.
 */
export class NodeRestriction implements AdmissionPlugin {
  readonly name = 'NodeRestriction';
  readonly #caches: Caches;
  readonly #authorizer: Authorizer;

  constructor(options: { caches: Caches; authorizer: Authorizer }) {
    this.#caches = options.caches;
    this.#authorizer = options.authorizer;
  }

  handles(): boolean {
    return true;
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const node = nodeNameOf(request.user);
    if (node === undefined) return;
    if (node === '') throw forbidden(request, `could not determine node from user "${request.user.name}"`);
    const why = await this.#problem(node, request);
    if (why !== undefined) throw forbidden(request, why);
  }

  async #problem(node: string, request: AdmissionRequest): Promise<string | undefined> {
    switch (resourceOf(request)) {
      case 'pods':
        return await this.#pod(node, request);
      case 'nodes':
        return ownNode(node, request);
      case 'persistentvolumeclaims':
        return request.subresource === 'status' ? claimStatus(node, request) : 'may only update PVC status';
      case 'serviceaccounts':
        return await this.#token(node, request);
      case 'podcertificaterequests.certificates.k8s.io':
        return 'PodCertificateRequest feature gate is disabled';
      case 'leases.coordination.k8s.io':
        if (request.namespace !== 'kube-node-lease')
          return 'can only access leases in the "kube-node-lease" system namespace';
        return ofOwnName(node, request, 'node lease');
      case 'csinodes.storage.k8s.io':
        return ofOwnName(node, request, 'CSINode');
      case 'resourceslices.resource.k8s.io':
        return slice(node, request);
      case 'certificatesigningrequests.certificates.k8s.io':
        return signingRequest(node, request);
      default:
        return undefined;
    }
  }

  async #pod(node: string, request: AdmissionRequest): Promise<string | undefined> {
    const { operation, subresource } = request;
    switch (subresource) {
      case '':
        if (operation === 'CREATE') return await this.#mirrorPod(node, request);
        if (operation !== 'DELETE')
          return `unexpected operation "${operation}", node "${node}" can only create and delete mirror pods`;
        return (await this.#isOwn(node, request))
          ? undefined
          : `node "${node}" can only delete pods with spec.nodeName set to itself`;
      case 'status':
        return operation === 'UPDATE' ? podStatus(node, request) : `unexpected operation "${operation}"`;
      case 'eviction':
        if (operation !== 'CREATE') return `unexpected operation ${operation}`;
        return (await this.#isOwn(node, request))
          ? undefined
          : `node ${node} can only evict pods with spec.nodeName set to itself`;
      default:
        return `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`;
    }
  }

  async #isOwn(node: string, request: AdmissionRequest): Promise<boolean> {
    const name = request.name || (request.object?.metadata.name ?? '');
    const stored: Pod | undefined = request.oldObject;
    const pod = stored ?? (await lookup(this.#caches, core.pods, { namespace: request.namespace, name }));
    if (!pod) throw errors.notFound(core.pods, name);
    return pod.spec?.nodeName === node;
  }

  async #mirrorPod(node: string, request: AdmissionRequest): Promise<string | undefined> {
    const pod = request.object as Pod;
    if (!isMirrorPod(pod))
      return `pod does not have "${mirrorAnnotation}" annotation, node "${node}" can only create mirror pods`;
    if (pod.spec?.nodeName !== node)
      return `node "${node}" can only create pods with spec.nodeName set to itself`;
    const [owner, ...others] = pod.metadata.ownerReferences ?? [];
    if (others.length > 0)
      return `node "${node}" can only create pods with a single owner reference set to itself`;
    if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node)
      return `node "${node}" can only create pods with an owner reference set to itself`;
    if (owner.controller !== true)
      return `node "${node}" can only create pods with a controller owner reference set to itself`;
    if (owner.blockOwnerDeletion === true)
      return `node "${node}" must not set blockOwnerDeletion on an owner reference`;
    const own = await lookup(this.#caches, core.nodes, { namespace: '', name: node, uid: owner.uid });
    if (!own) throw errors.notFound(core.nodes, node);
    if (own.metadata.uid !== owner.uid)
      return `node ${node} UID mismatch: expected ${owner.uid} got ${own.metadata.uid}`;
    const reference = apiReference(pod);
    return reference === undefined
      ? undefined
      : `node "${node}" can not create pods that reference ${reference}`;
  }

  async #token(node: string, request: AdmissionRequest): Promise<string | undefined> {
    if (request.operation !== 'CREATE' || request.subresource !== 'token') return undefined;
    const { spec } = request.object as TokenRequest;
    const bound = spec?.boundObjectRef;
    if (bound?.apiVersion !== 'v1' || bound.kind !== 'Pod' || !bound.name)
      return 'node requested token not bound to a pod';
    if (!bound.uid) return 'node requested token with a pod binding without a uid';
    const { namespace, user } = request;
    const pod = await lookup(this.#caches, core.pods, { namespace, name: bound.name, uid: bound.uid });
    if (!pod) throw errors.notFound(core.pods, bound.name);
    if (pod.metadata.uid !== bound.uid)
      return `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    if (pod.spec?.nodeName !== node)
      return 'node requested token bound to a pod scheduled on a different node';
    const parts = { caches: this.#caches, authorizer: this.#authorizer };
    const audiences = spec?.audiences ?? [];
    return await audienceProblem(parts, { user, namespace, account: request.name, pod, audiences });
  }
}

function podStatus(node: string, request: AdmissionRequest): string | undefined {
  const [pod, old] = [request.object as Pod, request.oldObject as Pod];
  if (old.spec?.nodeName !== node)
    return `node "${node}" can only update pod status for pods with spec.nodeName set to itself`;
  if (!isDeepStrictEqual(pod.metadata.labels ?? {}, old.metadata.labels ?? {}))
    return `node "${node}" cannot update labels through pod status`;
  if (!isDeepStrictEqual(pod.status?.resourceClaimStatuses ?? [], old.status?.resourceClaimStatuses ?? []))
    return `node "${node}" cannot update resource claim statues`;
  if (!isDeepStrictEqual(pod.status?.extendedResourceClaimStatus, old.status?.extendedResourceClaimStatus))
    return `node "${node}" cannot update extended resource claim status`;
  return undefined;
}

function ownNode(nodeName: string, request: AdmissionRequest): string | undefined {
  if (request.name !== nodeName) return `node "${nodeName}" is not allowed to modify node "${request.name}"`;
  const node = request.object as Node;
  const old: Node | undefined = request.oldObject;
  if (request.operation === 'CREATE') {
    if (node.spec?.configSource)
      return `node "${nodeName}" is not allowed to create pods with a non-nil configSource`;
    const labels = forbiddenLabelChanges(node.metadata.labels, undefined);
    return labels.length === 0
      ? undefined
      : `node "${nodeName}" is not allowed to set the following labels: ${labels.join(', ')}`;
  }
  if (request.operation !== 'UPDATE') return undefined;
  if (node.spec?.configSource && !isDeepStrictEqual(node.spec.configSource, old?.spec?.configSource))
    return `node "${nodeName}" is not allowed to update configSource to a new non-nil configSource`;
  if (!isDeepStrictEqual(node.spec?.taints ?? [], old?.spec?.taints ?? []))
    return `node "${nodeName}" is not allowed to modify taints`;
  if (!isDeepStrictEqual(node.metadata.ownerReferences ?? [], old?.metadata.ownerReferences ?? []))
    return `node "${nodeName}" is not allowed to modify ownerReferences`;
  const labels = forbiddenLabelChanges(node.metadata.labels, old?.metadata.labels);
  return labels.length === 0 ? undefined : `is not allowed to modify labels: ${labels.join(', ')}`;
}

/** What is left of a claim when all that a node may change is taken out. */
function unchangeable(claim: PersistentVolumeClaim): unknown {
  const { resourceVersion: _, managedFields: __, ...metadata } = claim.metadata;
  const {
    capacity: ___,
    conditions: ____,
    allocatedResourceStatuses: _5,
    allocatedResources: _6,
    ...status
  } = claim.status ?? {};
  return { metadata, spec: claim.spec, status };
}

function claimStatus(node: string, request: AdmissionRequest): string | undefined {
  if (request.operation !== 'UPDATE') return `unexpected operation "${request.operation}"`;
  const [now, old] = [request.object, request.oldObject].map((claim) =>
    unchangeable(claim as PersistentVolumeClaim),
  );
  return isDeepStrictEqual(now, old)
    ? undefined
    : `node "${node}" is not allowed to update fields other than status.quantity and status.conditions`;
}

function ofOwnName(node: string, request: AdmissionRequest, what: string): string | undefined {
  const name = request.operation === 'CREATE' ? request.object?.metadata.name : request.name;
  return name === node ? undefined : `can only access ${what} with the same name as the requesting node`;
}

function slice(node: string, request: AdmissionRequest): string | undefined {
  const { operation } = request;
  if (operation !== 'CREATE' && operation !== 'DELETE') return undefined;
  const { spec } = (operation === 'CREATE' ? request.object : request.oldObject) as ResourceSlice;
  const verb = operation === 'CREATE' ? 'create' : 'delete';
  return spec.nodeName === node
    ? undefined
    : `can only ${verb} ResourceSlice with the same NodeName as the requesting node`;
}

function signingRequest(node: string, request: AdmissionRequest): string | undefined {
  if (request.operation !== 'CREATE') return undefined;
  const { spec } = request.object as CertificateSigningRequest;
  if (!nodeSigners.has(spec.signerName)) return undefined;
  let commonName: string;
  try {
    ({ commonName } = requestedSubject(spec.request));
  } catch (error) {
    return `unable to parse csr: ${error instanceof Error ? error.message : String(error)}`;
  }
  return commonName === `system:node:${node}`
    ? undefined
    : `can only create a node CSR with CN=system:node:${node}`;
}
