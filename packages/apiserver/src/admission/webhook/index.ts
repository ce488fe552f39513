/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook: servers outside that change or judge what is written. What
 * calls them is loaded with the first webhook.
 *
 * ```ts
 * const { mutating, validating } = admissionWebhooks({ caches, versions, authorizer, clock, log, signal });
 * ```
 */
import { lazily } from '@cloudless/kube/lazy';
import type { Resource } from '@cloudless/kube/object';
import { admissionregistration } from '@cloudless/kube/resources';
import type { MutatingWebhook, ValidatingWebhook } from '@cloudless/kube/types/admissionregistration-v1';
import { isExempt } from '../matching/exempt.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../plugin.ts';
import type { WebhookParts } from './call.ts';
import { type AnyWebhook, type Hook, HookSource } from './hooks.ts';

export interface AdmissionWebhooks {
  readonly mutating: AdmissionPlugin;
  readonly validating: AdmissionPlugin;
}

type Dispatch<W extends AnyWebhook> = (
  parts: WebhookParts,
  hooks: ReadonlyArray<Hook<W>>,
  request: AdmissionRequest,
) => Promise<void>;

class WebhookPlugin<W extends AnyWebhook> {
  readonly name: string;
  readonly #hooks: HookSource<W>;
  readonly #parts: () => Promise<WebhookParts>;
  readonly #load: () => Promise<Dispatch<W>>;

  constructor(
    name: string,
    hooks: HookSource<W>,
    parts: () => Promise<WebhookParts>,
    load: () => Promise<Dispatch<W>>,
  ) {
    this.name = name;
    this.#hooks = hooks;
    this.#parts = parts;
    this.#load = load;
  }

  handles(_operation: Operation, resource: Resource): boolean {
    return this.#hooks.mayHaveSome && !isExempt(resource);
  }

  async dispatch(request: AdmissionRequest): Promise<void> {
    const hooks = await this.#hooks.get();
    if (hooks.length === 0) return;
    const [dispatch, parts] = await Promise.all([this.#load(), this.#parts()]);
    await dispatch(parts, hooks, request);
  }
}

class MutatingPlugin extends WebhookPlugin<MutatingWebhook> implements AdmissionPlugin {
  admit(request: AdmissionRequest): Promise<void> {
    return this.dispatch(request);
  }
}

class ValidatingPlugin extends WebhookPlugin<ValidatingWebhook> implements AdmissionPlugin {
  validate(request: AdmissionRequest): Promise<void> {
    return this.dispatch(request);
  }
}

/** Both plugins, over one set of connections that ends with `signal`. */
export function admissionWebhooks(
  options: Omit<WebhookParts, 'clients'> & { signal: AbortSignal },
): AdmissionWebhooks {
  const { signal, ...rest } = options;
  const { caches } = options;
  const parts = lazily(async (): Promise<WebhookParts> => {
    const [{ WebhookClients }, { serviceResolver }] = await Promise.all([
      import('../../webhook-client/client.ts'),
      import('../../webhook-client/service-resolver.ts'),
    ]);
    const resolve = serviceResolver(caches);
    return {
      ...rest,
      clients: new WebhookClients({ resolve, userAgent: 'kube-apiserver-admission', signal }),
    };
  });
  return {
    mutating: new MutatingPlugin(
      'MutatingAdmissionWebhook',
      new HookSource(caches, admissionregistration.mutatingwebhookconfigurations),
      parts,
      async () => (await import('./mutating.ts')).callMutating,
    ),
    validating: new ValidatingPlugin(
      'ValidatingAdmissionWebhook',
      new HookSource(caches, admissionregistration.validatingwebhookconfigurations),
      parts,
      async () => (await import('./validating.ts')).callValidating,
    ),
  };
}
