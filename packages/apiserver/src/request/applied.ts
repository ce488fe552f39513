import type { KubeObject } from '@cloudless/kube/object';
import { errors } from '@cloudless/kube/status';
import type { BodyDecoder } from './body.ts';
import type { Call } from './call.ts';
import { type WriteParameters, writeParameters } from './parameters.ts';

export const applyMediaType = 'application/apply-patch+yaml';

export const isApply = (call: Call): boolean => call.patchMediaType === applyMediaType;

export interface AppliedRequest {
  readonly parameters: WriteParameters;
  /** Shared: not to be changed. */
  readonly document: KubeObject;
  /** Refuses or warns of repeated keys, once; upstream does it after the merge. */
  judge(): void;
}

/** Reads a server-side apply: parameters (422), document (400). */
export async function readApplied(call: Call, decoder: BodyDecoder): Promise<AppliedRequest> {
  const parameters = writeParameters(call.query, 'PatchOptions', 'apply');
  const body = await call.body();
  if (!body) throw errors.badRequest('invalid object type: /, Kind=');
  const { value, duplicates } = decoder.parseApplied(body);
  call.audit?.requestPatch(value);
  let judged = false;
  const judge = (): void => {
    if (judged || duplicates === undefined || parameters.fieldValidation === 'Ignore') return;
    judged = true;
    if (parameters.fieldValidation === 'Strict') {
      throw errors.badRequest(`error strict decoding YAML: ${duplicates}`);
    }
    call.warn(duplicates);
  };
  return { parameters, document: value, judge };
}
