import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import * as catalogue from '@cloudless/kube/resources';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';
import type { Authorizer } from '../authz/authorizer.ts';
import { forbidden } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './plugin.ts';

/** Built-in resources by group and kind. */
const resources: ReadonlyMap<string, Resource> = new Map(
  Object.values(catalogue)
    .flatMap((group) => Object.values(group) as Resource[])
    .map((resource) => [`${resource.group}/${resource.kind}`, resource]),
);

const groupOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? (apiVersion.split('/')[0] as string) : '';

/** Owners whose deletion this write begins to block. */
function newlyBlocking(object: KubeObject, old: KubeObject | undefined): OwnerReference[] {
  const blocked = new Set(
    (old?.metadata.ownerReferences ?? [])
      .filter((owner) => owner.blockOwnerDeletion === true)
      .map(({ uid }) => uid),
  );
  return (object.metadata.ownerReferences ?? []).filter(
    (owner) => owner.blockOwnerDeletion === true && !blocked.has(owner.uid),
  );
}

/**
 * Who cannot delete an object cannot have the garbage collector do it by naming an owner, and who cannot finalize an
 * owner cannot hold up its deletion (upstream: plugin/pkg/admission/gc). Off by default, as upstream.
 */
export class OwnerReferencesPermissionEnforcement implements AdmissionPlugin {
  readonly name = 'OwnerReferencesPermissionEnforcement';
  readonly #authorizer: Authorizer;

  constructor(options: { authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    // The kubelet makes its pods' status; binding and eviction change no owner.
    const isPart = resource.plural === 'pods' && subresource !== '';
    return !isPart && (operation === 'CREATE' || operation === 'UPDATE');
  }

  validate(request: AdmissionRequest): void {
    const { object, oldObject } = request;
    const owners = object?.metadata.ownerReferences ?? [];
    if (!object || isDeepStrictEqual(owners, oldObject?.metadata.ownerReferences ?? [])) return;
    // Whoever creates an object may say whose it is.
    if (request.operation === 'UPDATE') {
      const why = this.#refusal(request, 'delete', request.resource, '', request.name);
      if (why !== undefined)
        throw forbidden(request, `cannot set an ownerRef on a resource you can't delete: ${why}`);
    }
    for (const owner of newlyBlocking(object, oldObject)) this.#mayBlock(request, owner);
  }

  #mayBlock(request: AdmissionRequest, owner: OwnerReference): void {
    const resource = resources.get(`${groupOf(owner.apiVersion)}/${owner.kind}`);
    if (!resource)
      throw forbidden(
        request,
        `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${owner.apiVersion} Kind ${owner.kind}`,
      );
    const why = this.#refusal(request, 'update', resource, 'finalizers', owner.name);
    if (why !== undefined)
      throw forbidden(
        request,
        `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${why}`,
      );
  }

  /** The authorizer's reason, perhaps empty, when it does not allow; undefined when it does. */
  #refusal(
    { user, namespace }: AdmissionRequest,
    verb: string,
    resource: Resource,
    subresource: string,
    name: string,
  ): string | undefined {
    const { verdict, reason } = this.#authorizer.authorize({
      user,
      isResource: true,
      verb,
      path: '',
      apiPrefix: resource.group === '' ? 'api' : 'apis',
      group: resource.group,
      version: resource.version,
      namespace: resource.namespaced ? namespace : '',
      resource: resource.plural,
      subresource,
      name,
    });
    return verdict === 'allow' ? undefined : reason;
  }
}
