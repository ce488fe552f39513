import { core } from '@cloudless/kube/resources';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Clock } from '@cloudless/kube/clock';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';
import { forbidden, resourceOf } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest } from './plugin.ts';

const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);
/** How long after its deletion a namespace is looked at twice. */
const doubtMs = 30_000;

/**
 * Refuses objects in namespaces that do not exist or are ending, and the end of those that every cluster has
 * (upstream: apiserver/pkg/admission/plugin/namespace/lifecycle).
 */
export class NamespaceLifecycle implements AdmissionPlugin {
  readonly name = 'NamespaceLifecycle';
  readonly #caches: Caches;
  readonly #clock: Clock;
  /** Namespaces deleted a moment ago, which the cache may still show as active, by the time of it. */
  readonly #doubted = new Map<string, number>();

  constructor(options: { caches: Caches; clock: Clock }) {
    this.#caches = options.caches;
    this.#clock = options.clock;
  }

  handles(): boolean {
    return true;
  }

  async admit(request: AdmissionRequest): Promise<void> {
    const { operation, namespace, name } = request;
    if (resourceOf(request) === 'namespaces') {
      if (operation !== 'DELETE') return;
      if (immortal.has(name))
        throw errors.forbidden(core.namespaces, name, 'this namespace may not be deleted');
      this.#doubted.set(name, this.#clock.monotonicMs());
      return;
    }
    if (
      namespace === '' ||
      operation !== 'CREATE' ||
      resourceOf(request).endsWith('accessreviews.authorization.k8s.io')
    )
      return;
    const found = await lookup(this.#caches, core.namespaces, { namespace: '', name: namespace });
    if (!found) throw errors.notFound(core.namespaces, namespace);
    const current =
      found.status?.phase !== 'Terminating' && this.#isDoubted(namespace)
        ? await this.#now(namespace)
        : found;
    if (current.status?.phase !== 'Terminating' && current.metadata.deletionTimestamp === undefined) return;
    throw terminating(request);
  }

  #isDoubted(namespace: string): boolean {
    const sinceMs = this.#doubted.get(namespace);
    if (sinceMs === undefined) return false;
    if (this.#clock.monotonicMs() - sinceMs <= doubtMs) return true;
    this.#doubted.delete(namespace);
    return false;
  }

  async #now(namespace: string) {
    const cache = this.#caches.of(core.namespaces);
    await cache.fresh();
    const found = cache.get('', namespace);
    if (!found) throw errors.notFound(core.namespaces, namespace);
    return found;
  }
}

function terminating(request: AdmissionRequest): StatusError {
  const { namespace } = request;
  const { code, reason, message, details } = forbidden(
    request,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
  );
  return new StatusError(code, reason, message, {
    ...details,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  });
}
