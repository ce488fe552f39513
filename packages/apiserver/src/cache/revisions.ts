import { goQuote } from '@cloudless/kube/field';
import { errors, StatusError } from '@cloudless/kube/status';

/**
 * A resourceVersion that the server has not reached (upstream: storage.NewTooLargeResourceVersionError); `retryAfter` where
 * a cache may yet reach it.
 */
export function tooLargeRevision(wanted: number, current: number, retryAfter = true): StatusError {
  return new StatusError(
    504,
    'Timeout',
    `Timeout: Too large resource version: ${wanted}, current: ${current}`,
    {
      ...(retryAfter ? { retryAfterSeconds: 1 } : {}),
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    },
  );
}

/** A watch from a version that has left the history (upstream: cacher/watch_cache_history.go). */
export const tooOldRevision = (wanted: number, oldest: number): StatusError =>
  errors.expired(`too old resource version: ${wanted} (${oldest})`);

/** A list at a compacted revision (upstream: storage/etcd3/errors.go). */
export const listExpired = (): StatusError =>
  errors.expired('The resourceVersion for the provided list is too old.');

/** A page whose first page is compacted away; `inconsistent` is a token that goes on at the newest revision. */
export class ContinueExpired extends StatusError {
  readonly inconsistent: string;

  constructor(inconsistent: string) {
    super(
      410,
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
        'without the continue parameter, or use the continue token in this response to retrieve the remainder of the ' +
        'results. Continuing with the provided token results in an inconsistent list - objects that were created, ' +
        'modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    );
    this.inconsistent = inconsistent;
  }

  override toStatus() {
    return { ...super.toStatus(), metadata: { continue: this.inconsistent } };
  }
}

/** As {@link parseRevision} for a watch, which upstream answers with 500. */
export function watchRevision(text: string | undefined): number | undefined {
  if (text && !/^\d+$/.test(text)) throw new StatusError(500, '', badRevision(text));
  return parseRevision(text);
}

/** What Go says about a resourceVersion that is no number. */
export const badRevision = (text: string): string =>
  `resourceVersion: Invalid value: ${goQuote(text)}: strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`;

/**
 * Reads a resourceVersion parameter: undefined when unset. Throws 400/422 in upstream's words
 * (apiserver/pkg/storage/api_object_versioner.go, ParseResourceVersion).
 */
export function parseRevision(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw errors.badRequest(`invalid resource version: ${badRevision(text)}`);
  }
  return value;
}
