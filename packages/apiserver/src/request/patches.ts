import { StatusError } from '@cloudless/kube/status';
import type { ApplyPatch } from './body.ts';

/** Applies one patch document and returns a new object. */
export const applyPatch: ApplyPatch = (type) => {
  throw new StatusError(501, '', `${type} patches are not served yet`);
};
