/** AdmissionReview, the question and the answer (upstream: admission/plugin/webhook/request/admissionreview.go). */
import { parseJson, stringifyJson } from '@cloudless/kube/codec/json';
import type { Status } from '@cloudless/kube/types/meta-v1';
import { requestFacts, type ShownRequest } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';

/** An answer that keeps to the rules. */
export interface ReviewAnswer {
  readonly allowed: boolean;
  readonly result: Status | undefined;
  readonly patch: Buffer | undefined;
  readonly patchType: string | undefined;
  readonly warnings: readonly string[];
  readonly auditAnnotations: Readonly<Record<string, string>>;
}

const reviewVersions: ReadonlySet<string> = new Set(['v1', 'v1beta1']);

/** The first version of AdmissionReview that both sides speak. */
export const reviewVersionOf = (versions: readonly string[]): string | undefined =>
  versions.find((version) => reviewVersions.has(version));

/** The question's bytes. */
export function encodeReview(
  version: string,
  uid: string,
  request: AdmissionRequest,
  shown: ShownRequest,
): Buffer {
  const { object = null, oldObject = null } = shown;
  const { kind, resource, dryRun, options, ...rest } = requestFacts(request, shown);
  return Buffer.from(
    stringifyJson({
      kind: 'AdmissionReview',
      apiVersion: `admission.k8s.io/${version}`,
      request: { uid, kind, resource, ...rest, object, oldObject, dryRun, options },
    }),
  );
}

interface Review {
  apiVersion?: unknown;
  kind?: unknown;
  response?: {
    uid?: unknown;
    allowed?: unknown;
    status?: Status;
    patch?: unknown;
    patchType?: unknown;
    warnings?: unknown;
    auditAnnotations?: unknown;
  } | null;
}

const quoted = (value: unknown): string => JSON.stringify(typeof value === 'string' ? value : '');

/** Bytes that are no AdmissionReview at all: a failed call, not an answer that breaks the rules. */
export class UnreadableReview extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableReview';
  }
}

/** An answer that breaks the rules. The message is upstream's. */
export class InvalidReview extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidReview';
  }
}

function readReview(bytes: Buffer): Review {
  let review: Review;
  try {
    review = parseJson(bytes) as Review;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UnreadableReview(`couldn't get version/kind; json parse error: ${why}`);
  }
  if (typeof review !== 'object' || review === null || Array.isArray(review))
    throw new UnreadableReview("couldn't get version/kind; json parse error: the answer is no object");
  const { kind, apiVersion } = review;
  const start = bytes.subarray(0, 256).toString('utf8');
  if (kind === undefined || kind === '') throw new UnreadableReview(`Object 'Kind' is missing in '${start}'`);
  if (apiVersion === undefined || apiVersion === '')
    throw new UnreadableReview(`Object 'apiVersion' is missing in '${start}'`);
  return review;
}

function patchOf(response: NonNullable<Review['response']>): Buffer | undefined {
  const { patch } = response;
  if (patch === undefined || patch === null || patch === '') return undefined;
  if (typeof patch !== 'string' || !/^[\dA-Za-z+/\r\n]*={0,2}[\r\n]*$/.test(patch))
    throw new UnreadableReview('json: cannot unmarshal response.patch: illegal base64 data');
  return Buffer.from(patch, 'base64');
}

function checkPatch(mutating: boolean, patch: Buffer | undefined, type: unknown): void {
  const hasType = type !== undefined && type !== null;
  if (!mutating) {
    if (patch) throw new InvalidReview('validating webhook may not return response.patch');
    if (hasType) throw new InvalidReview('validating webhook may not return response.patchType');
    return;
  }
  if (patch && !hasType)
    throw new InvalidReview('webhook returned response.patch but not response.patchType');
  if (!patch && hasType)
    throw new InvalidReview('webhook returned response.patchType but not response.patch');
  if (type === '') throw new InvalidReview('webhook returned invalid response.patchType of ""');
}

/** Reads an answer. Throws `UnreadableReview` and `InvalidReview`. */
export function readAnswer(bytes: Buffer, version: string, uid: string, mutating: boolean): ReviewAnswer {
  const review = readReview(bytes);
  const { response } = review;
  if (typeof response !== 'object' || response === null)
    throw new InvalidReview('webhook response was absent');
  const patch = patchOf(response);
  let patchType = response.patchType;
  if (version === 'v1') {
    if (response.uid !== uid)
      throw new InvalidReview(`expected response.uid=${quoted(uid)}, got ${quoted(response.uid)}`);
    const expected = 'admission.k8s.io/v1, Kind=AdmissionReview';
    const got = `${String(review.apiVersion)}, Kind=${String(review.kind)}`;
    if (got !== expected) throw new InvalidReview(`expected webhook response of ${expected}, got ${got}`);
    checkPatch(mutating, patch, patchType);
  } else patchType = patch && mutating ? 'JSONPatch' : undefined;
  return {
    allowed: response.allowed === true,
    result: typeof response.status === 'object' && response.status !== null ? response.status : undefined,
    patch: mutating ? patch : undefined,
    patchType: typeof patchType === 'string' ? patchType : undefined,
    warnings: stringsOf(response.warnings),
    auditAnnotations: stringMapOf(response.auditAnnotations),
  };
}

const stringsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

const stringMapOf = (value: unknown): Record<string, string> =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
      )
    : {};
