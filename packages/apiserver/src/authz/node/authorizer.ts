import { core, resource, storage } from '@cloudless/kube/resources';
import { parseFieldSelector } from '@cloudless/kube/selector/selector';
import type { PolicyRule } from '@cloudless/kube/types/rbac-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Caches } from '../../cache/cache.ts';
import type { Attributes } from '../../request/info.ts';
import type { Authorizer, Decision } from '../authorizer.ts';
import { follow } from '../follow.ts';
import { systemRoles } from '../policy/system-roles.ts';
import { ruleAllows } from '../rbac.ts';
import { NodeGraph } from './graph.ts';
import type { ReferencedKind } from './references.ts';

const allow: Decision = { verdict: 'allow', reason: '' };
const silent: Decision = { verdict: 'no-opinion', reason: '' };
const no = (reason: string): Decision => ({ verdict: 'no-opinion', reason });

/**
 * Name of the node that a user is: undefined for others, '' for a member of system:nodes whose name says no node
 * (upstream: pkg/auth/nodeidentifier).
 */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (!user.name.startsWith('system:node:') || !user.groups.includes('system:nodes')) return undefined;
  return user.name.slice('system:node:'.length);
}

/** Objects that a node reaches only through its pods, and how they may be asked for. */
const reachable: Readonly<Record<string, { kind: ReferencedKind; verbs: readonly string[] }>> = {
  secrets: { kind: 'secret', verbs: ['get', 'list', 'watch'] },
  configmaps: { kind: 'configmap', verbs: ['get', 'list', 'watch'] },
  persistentvolumeclaims: { kind: 'pvc', verbs: ['get'] },
  'resourceclaims.resource.k8s.io': { kind: 'resourceclaim', verbs: ['get'] },
};

const leaseVerbs = ['get', 'create', 'update', 'patch', 'delete'];

/**
 * What kubelets may do (upstream: plugin/pkg/auth/authorizer/node): only what concerns their own Node, their pods and
 * what those name; the rest of a kubelet's needs by the static rules of `system:node`. What it leaves open at create,
 * where the object is not known yet, NodeRestriction closes at admission.
 */
export class NodeAuthorizer implements Authorizer {
  readonly ready: Promise<void>;
  readonly graph = new NodeGraph();
  readonly #rules: readonly PolicyRule[] = systemRoles['system:node'] ?? [];

  constructor(caches: Caches) {
    const { graph } = this;
    this.ready = Promise.all([
      follow(caches.of(core.pods), {
        put: (pod, old) => graph.putPod(pod, old),
        remove: (pod) => graph.removePod(pod),
      }),
      follow(caches.of(core.persistentvolumes), {
        put: (volume) => graph.putVolume(volume),
        remove: (volume) => graph.removeVolume(volume),
      }),
      follow(caches.of(storage.volumeattachments), {
        put: (attachment) => graph.putAttachment(attachment),
        remove: (attachment) => graph.removeAttachment(attachment),
      }),
      follow(caches.of(resource.resourceslices), {
        put: (slice) => graph.putSlice(slice),
        remove: (slice) => graph.removeSlice(slice),
      }),
    ]).then(() => undefined);
    this.ready.catch(() => {});
  }

  authorize(request: Attributes): Decision {
    const node = nodeNameOf(request.user);
    if (node === undefined) return silent;
    if (node === '') return no(`unknown node for user "${request.user.name}"`);
    if (!request.isResource) return this.#byRules(request);
    const groupResource = request.group === '' ? request.resource : `${request.resource}.${request.group}`;
    if (groupResource === 'persistentvolumeclaims' && request.subresource === 'status')
      return ['update', 'patch'].includes(request.verb)
        ? this.#reached(node, 'pvc', request)
        : no('can only get/update/patch this type');
    const through = reachable[groupResource];
    if (through) return this.#read(node, through.kind, through.verbs, request);
    switch (groupResource) {
      case 'persistentvolumes':
        return this.#get(node, request, this.graph.hasVolume(node, request.name));
      case 'volumeattachments.storage.k8s.io':
        return this.#get(node, request, this.graph.hasAttachment(node, request.name));
      case 'serviceaccounts':
        return this.#serviceAccount(node, request);
      case 'leases.coordination.k8s.io':
        return lease(node, request);
      case 'csinodes.storage.k8s.io':
        return csiNode(node, request);
      case 'resourceslices.resource.k8s.io':
        return this.#slice(node, request);
      case 'nodes':
        return ownNode(node, request);
      case 'pods':
        return this.#pod(node, request);
      case 'podcertificaterequests.certificates.k8s.io':
        return silent;
      default:
        return this.#byRules(request);
    }
  }

  #byRules(request: Attributes): Decision {
    return this.#rules.some((rule) => ruleAllows(rule, request)) ? allow : silent;
  }

  #reached(node: string, kind: ReferencedKind, request: Attributes): Decision {
    if (request.name === '') return no('No Object name found');
    return this.graph.reaches(node, kind, request.namespace, request.name) ? allow : unrelated(node);
  }

  #read(node: string, kind: ReferencedKind, verbs: readonly string[], request: Attributes): Decision {
    const getOnly = verbs.length === 1;
    if (!verbs.includes(request.verb))
      return no(
        getOnly ? 'can only get individual resources of this type' : 'can only read resources of this type',
      );
    if (request.subresource !== '') return no(getOnly ? 'cannot get subresource' : 'cannot read subresource');
    if (request.namespace === '') return no('can only read namespaced object of this type');
    return this.#reached(node, kind, request);
  }

  #get(node: string, request: Attributes, related: boolean): Decision {
    if (request.verb !== 'get') return no('can only get individual resources of this type');
    if (request.subresource !== '') return no('cannot get subresource');
    if (request.name === '') return no('No Object name found');
    return related ? allow : unrelated(node);
  }

  #serviceAccount(node: string, request: Attributes): Decision {
    if (request.verb === 'get' && request.subresource === '')
      return this.#read(node, 'serviceaccount', ['get', 'list', 'watch'], request);
    if (request.verb !== 'create' || request.name === '')
      return no('can only create tokens for individual service accounts');
    if (request.subresource !== 'token') return no('can only create token subresource of serviceaccount');
    return this.#reached(node, 'serviceaccount', request);
  }

  #slice(node: string, request: Attributes): Decision {
    if (request.subresource !== '') return no('cannot authorize ResourceSlice subresources');
    switch (request.verb) {
      case 'create':
        return allow;
      case 'get':
      case 'update':
      case 'patch':
      case 'delete':
        if (request.name === '') return no('No Object name found');
        return this.graph.hasSlice(node, request.name) ? allow : unrelated(node);
      case 'list':
      case 'watch':
      case 'deletecollection':
        return selects(request, 'spec.nodeName', node)
          ? allow
          : no('can only list/watch/deletecollection resourceslices with nodeName field selector');
      default:
        return no(
          'only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection',
        );
    }
  }

  #pod(node: string, request: Attributes): Decision {
    const { verb, subresource } = request;
    if (subresource === 'status') return verb === 'update' || verb === 'patch' ? allow : silent;
    if (subresource === 'eviction') return verb === 'create' ? allow : silent;
    if (subresource !== '') return silent;
    switch (verb) {
      case 'get':
        return this.#get(node, request, this.graph.hasPod(node, request.namespace, request.name));
      case 'list':
      case 'watch':
        if (selects(request, 'spec.nodeName', node)) return allow;
        if (request.name !== '')
          return this.graph.hasPod(node, request.namespace, request.name) ? allow : unrelated(node);
        return no('can only list/watch pods with spec.nodeName field selector');
      case 'create':
      case 'delete':
        return allow;
      default:
        return silent;
    }
  }
}

const unrelated = (node: string): Decision =>
  no(`no relationship found between node '${node}' and this object`);

function selects(request: Attributes, field: string, value: string): boolean {
  if (!request.fieldSelector) return false;
  try {
    return parseFieldSelector(request.fieldSelector).exactMatch(field) === value;
  } catch {
    return false;
  }
}

function lease(node: string, request: Attributes): Decision {
  if (!leaseVerbs.includes(request.verb))
    return no('can only get, create, update, patch, or delete a node lease');
  if (request.namespace !== 'kube-node-lease')
    return no('can only access leases in the "kube-node-lease" system namespace');
  // The name is not known at create: NodeRestriction looks at it.
  if (request.verb !== 'create' && request.name !== node)
    return no('can only access node lease with the same name as the requesting node');
  return allow;
}

function csiNode(node: string, request: Attributes): Decision {
  if (!leaseVerbs.includes(request.verb))
    return no('can only get, create, update, patch, or delete a CSINode');
  if (request.subresource !== '') return no('cannot authorize CSINode subresources');
  if (request.verb !== 'create' && request.name !== node)
    return no('can only access CSINode with the same name as the requesting node');
  return allow;
}

function ownNode(node: string, request: Attributes): Decision {
  const { verb, subresource, name } = request;
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? allow : silent;
  if (subresource !== '') return silent;
  if (verb === 'create' || verb === 'update' || verb === 'patch') return allow;
  if (verb !== 'get' && verb !== 'list' && verb !== 'watch') return silent;
  if (name === node) return allow;
  return name === ''
    ? no(`node '${node}' cannot read all nodes, only its own Node object`)
    : no(`node '${node}' cannot read '${name}', only its own Node object`);
}
