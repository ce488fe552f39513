import type { KubeObject, Resource } from '@cloudless/kube/object';
import type {
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
} from '@cloudless/kube/types/admissionregistration-v1';
import type { Caches } from '../../cache/cache.ts';

/** Fields that both kinds of webhook have. */
export type AnyWebhook = MutatingWebhook | ValidatingWebhook;
type Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration;

/** One webhook of one configuration. */
export interface Hook<W extends AnyWebhook = AnyWebhook> {
  /** `CONFIGURATION/WEBHOOK/N`, N telling webhooks of one name apart. */
  readonly uid: string;
  readonly configuration: string;
  readonly webhook: W;
}

/**
 * All webhooks of one kind of configuration, in the order in which they are called: configurations by name, webhooks as
 * they stand. Follows the cache, so that a change counts from the next request on.
 */
export class HookSource<W extends AnyWebhook> {
  readonly #caches: Caches;
  readonly #resource: Resource<KubeObject & { webhooks?: W[] }>;
  #hooks: ReadonlyArray<Hook<W>> | undefined;
  #starting: Promise<void> | undefined;
  #ready = false;

  constructor(caches: Caches, resource: Resource<Configuration & { webhooks?: W[] }>) {
    this.#caches = caches;
    this.#resource = resource;
  }

  /** Whether there is, or may be, any webhook. */
  get mayHaveSome(): boolean {
    return !this.#ready || this.#current().length > 0;
  }

  /** Waits for the first load. */
  async get(): Promise<ReadonlyArray<Hook<W>>> {
    if (!this.#ready) await (this.#starting ??= this.#start());
    return this.#current();
  }

  async #start(): Promise<void> {
    const cache = this.#caches.of(this.#resource);
    cache.subscribe(() => void (this.#hooks = undefined));
    await cache.ready;
    this.#ready = true;
  }

  #current(): ReadonlyArray<Hook<W>> {
    return (this.#hooks ??= this.#collect());
  }

  #collect(): Array<Hook<W>> {
    const name = (object: KubeObject): string => object.metadata.name ?? '';
    const configurations = [...this.#caches.of(this.#resource).list()].sort((a, b) =>
      name(a) < name(b) ? -1 : 1,
    );
    return configurations.flatMap((configuration) => {
      const seen = new Map<string, number>();
      return (configuration.webhooks ?? []).map((webhook) => {
        const count = seen.get(webhook.name) ?? 0;
        seen.set(webhook.name, count + 1);
        const uid = `${name(configuration)}/${webhook.name}/${count}`;
        return { uid, configuration: name(configuration), webhook };
      });
    });
  }
}
