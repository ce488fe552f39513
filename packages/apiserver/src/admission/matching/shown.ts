import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { BodyKind } from '../../request/body.ts';
import type { ObjectVersions } from '../object-versions.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { namespaceOf } from './selectors.ts';

/** The request as webhooks and policies are shown it: in the version of the rule that matched. */
export interface ShownRequest {
  readonly resource: Resource;
  readonly kind: BodyKind;
  readonly requestKind: BodyKind;
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
}

const kindFacts = ({ group, version, kind }: BodyKind) => ({ group, version, kind });
const resourceFacts = ({ group, version, plural }: Resource) => ({ group, version, resource: plural });

function optionsOf({ operation, options }: AdmissionRequest): unknown {
  if (operation === 'CONNECT') return null;
  if (operation !== 'DELETE') return options;
  return { ...options, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' };
}

/** What is asked of every webhook and policy about a request, but for the objects. */
export function requestFacts(request: AdmissionRequest, shown: ShownRequest): Record<string, unknown> {
  const { user, subresource, operation } = request;
  const namespace = namespaceOf(request);
  return {
    kind: kindFacts(shown.kind),
    resource: resourceFacts(shown.resource),
    ...(subresource === '' ? {} : { subResource: subresource }),
    requestKind: kindFacts(shown.requestKind),
    requestResource: resourceFacts(request.resource),
    ...(subresource === '' ? {} : { requestSubResource: subresource }),
    ...(request.name === '' ? {} : { name: request.name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: {
      ...(user.name === '' ? {} : { username: user.name }),
      ...(user.uid === undefined || user.uid === '' ? {} : { uid: user.uid }),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
    },
    dryRun: request.dryRun,
    options: optionsOf(request),
  };
}

/** A request in the versions that are asked for; each is made once until {@link forget}. */
export class ShownRequests {
  readonly #request: AdmissionRequest;
  readonly #versions: ObjectVersions;
  readonly #byVersion = new Map<string, Promise<ShownRequest>>();

  constructor(request: AdmissionRequest, versions: ObjectVersions) {
    this.#request = request;
    this.#versions = versions;
  }

  in(resource: Resource): Promise<ShownRequest> {
    const key = `${resource.group}/${resource.version}/${resource.plural}`;
    let shown = this.#byVersion.get(key);
    if (!shown) this.#byVersion.set(key, (shown = this.#make(resource)));
    return shown;
  }

  /** The object has changed: what was shown of it is old. */
  forget(): void {
    this.#byVersion.clear();
  }

  async #make(resource: Resource): Promise<ShownRequest> {
    const { subresource, object, oldObject } = this.#request;
    const place = { resource, subresource };
    return {
      resource,
      kind: this.#versions.kindOf(place),
      requestKind: this.#versions.kindOf({ resource: this.#request.resource, subresource }),
      object: object && (await this.#versions.show(object, place)),
      oldObject: oldObject && (await this.#versions.show(oldObject, place)),
    };
  }
}
