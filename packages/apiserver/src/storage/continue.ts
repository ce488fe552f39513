import { JsonSyntaxError, parseJson } from '@cloudless/kube/codec/json';
import { errors } from '@cloudless/kube/status';

/** Where a paged list goes on (upstream: apiserver/pkg/storage/continue.go). */
export interface ContinuePoint {
  /** First key of the next page, absolute. */
  startKey: string;
  /** Revision of the first page; -1: go on at the newest. */
  revision: number;
}

/** The token upstream gives: base64url of `{"v","rv","start"}`; `start` is relative to `keyPrefix`. */
export function encodeContinue(startKey: string, keyPrefix: string, revision: number): string {
  const start = startKey.slice(keyPrefix.length);
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start })).toString('base64url');
}

/** Throws `StatusError` 400 in upstream's words for anything {@link encodeContinue} cannot have made. */
export function decodeContinue(token: string, keyPrefix: string): ContinuePoint {
  const bad = (why: string) => errors.badRequest(`invalid continue token: ${why}`);
  let value: unknown;
  try {
    value = parseJson(Buffer.from(token, 'base64url'));
  } catch (cause) {
    const why = cause instanceof JsonSyntaxError ? cause.reason : String(cause);
    throw bad(`continue key is not valid: ${why}`);
  }
  if (typeof value !== 'object' || value === null) throw bad('continue key is not valid');
  const { v, rv, start } = value as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== 'meta.k8s.io/v1') {
    throw bad(
      `continue key is not valid: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`,
    );
  }
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0) {
    throw bad('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  }
  if (typeof start !== 'string' || start === '') {
    throw bad('continue key is not valid: encoded start key empty (version meta.k8s.io/v1)');
  }
  // A path that climbs must not reach keys of another resource.
  const parts = start.replace(/^\//, '').split('/');
  if (parts.some((part) => part === '..' || part === '.' || part === '')) {
    throw bad(`continue key is not valid: ${start}`);
  }
  return { startKey: keyPrefix + start.replace(/^\//, ''), revision: rv };
}
