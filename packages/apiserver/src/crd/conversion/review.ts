/** ConversionReview, the question and the answer (apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go). */
import { parseJson, stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';

const reviewVersions: ReadonlySet<string> = new Set(['v1', 'v1beta1']);
const group = 'apiextensions.k8s.io';

/** The first version of ConversionReview that both sides speak. */
export const conversionReviewVersion = (versions: readonly string[]): string | undefined =>
  versions.find((version) => reviewVersions.has(version));

/** The question's bytes. */
export const encodeConversion = (
  version: string,
  request: { uid: string; desiredAPIVersion: string; objects: readonly KubeObject[] },
): Buffer =>
  Buffer.from(stringifyJson({ kind: 'ConversionReview', apiVersion: `${group}/${version}`, request }));

interface Review {
  apiVersion?: unknown;
  kind?: unknown;
  response?: {
    uid?: unknown;
    convertedObjects?: unknown;
    result?: { status?: unknown; message?: unknown } | null;
  } | null;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function parsed(bytes: Uint8Array): Review {
  const value = parseJson(bytes);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new Error('json: cannot unmarshal the answer into Go value of type v1.ConversionReview');
}

/** The objects of an answer. Throws what is wrong with it, or what the webhook says went wrong. */
export function convertedObjects(version: string, uid: string, bytes: Uint8Array): unknown[] {
  const { apiVersion, kind, response } = parsed(bytes);
  // v1beta1 never had to name itself or the question.
  if (version === 'v1' && (apiVersion !== `${group}/v1` || kind !== 'ConversionReview'))
    throw new Error(
      `expected webhook response of ${group}/v1, Kind=ConversionReview, got ${textOf(apiVersion)}, Kind=${textOf(kind)}`,
    );
  if (!response) throw new Error('no response provided');
  if (version === 'v1' && response.uid !== uid)
    throw new Error(
      `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(textOf(response.uid))}`,
    );
  const { status, message } = response.result ?? {};
  if (status !== 'Success')
    throw new Error(textOf(message) || `response.result.status was '${textOf(status)}', not 'Success'`);
  const { convertedObjects: objects } = response;
  return Array.isArray(objects) ? (objects as unknown[]) : [];
}
