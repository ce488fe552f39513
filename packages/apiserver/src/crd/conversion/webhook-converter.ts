import { randomUUID } from 'node:crypto';
import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { StatusError } from '@cloudless/kube/status';
import type { CustomResourceConversion } from '@cloudless/kube/types/apiextensions-v1';
import type { WebhookClients } from '../../webhook-client/client.ts';
import { acceptConverted, shownKind, WrongObject } from './converted.ts';
import { conversionReviewVersion, convertedObjects, encodeConversion } from './review.ts';

/** Connections to conversion webhooks, made with the first call. */
export type ConversionClients = () => Promise<WebhookClients>;

/** As upstream's client has it for every webhook. */
const timeoutMs = 30_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Converts the objects of one definition by its webhook. */
export class WebhookConverter {
  readonly #conversion: CustomResourceConversion;
  readonly #clients: ConversionClients;

  constructor(conversion: CustomResourceConversion, clients: ConversionClients) {
    this.#conversion = conversion;
    this.#clients = clients;
  }

  /**
   * The objects in the version of `to`, in the same order, from one call. None may be in that version already. Throws
   * `StatusError` 500 in upstream's words for a webhook that fails or answers with something else.
   */
  async convert(objects: readonly KubeObject[], to: Resource): Promise<KubeObject[]> {
    const [first] = objects;
    if (!first) return [];
    const failure = (why: string, cause?: unknown): StatusError => {
      const message = `conversion webhook for ${shownKind(first)} ${why}`;
      return new StatusError(500, 'InternalError', message, undefined, cause);
    };
    let answer: unknown[];
    try {
      answer = await this.#ask(objects, to);
    } catch (error) {
      if (error instanceof StatusError && error.code === 429) throw error;
      throw failure(`failed: ${messageOf(error)}`, error);
    }
    if (answer.length !== objects.length)
      throw failure(`returned ${answer.length} objects, expected ${objects.length}`);
    return objects.map((given, i) => {
      try {
        return acceptConverted(given, answer[i], to);
      } catch (error) {
        if (!(error instanceof WrongObject)) throw error;
        const what = error.what === 'object' ? 'converted object' : 'metadata in object';
        throw failure(`returned invalid ${what} at index ${i}: ${error.message}`, error);
      }
    });
  }

  async #ask(objects: readonly KubeObject[], to: Resource): Promise<unknown[]> {
    const { clientConfig, conversionReviewVersions = [] } = this.#conversion.webhook ?? {};
    const version = conversionReviewVersion(conversionReviewVersions);
    if (version === undefined || !clientConfig) throw new Error('no supported conversion review versions');
    const uid = randomUUID();
    const question = encodeConversion(version, { uid, desiredAPIVersion: apiVersionOf(to), objects });
    const clients = await this.#clients();
    return convertedObjects(version, uid, await clients.post(clientConfig, question, { timeoutMs }));
  }
}
