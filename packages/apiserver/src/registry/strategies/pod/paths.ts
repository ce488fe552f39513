/** Rules for file paths and modes inside volumes (upstream: pkg/apis/core/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';

export function noBacksteps(target: string, path: FieldPath): FieldError[] {
  if (!target.split('/').includes('..')) return [];
  return [fieldErrors.invalid(path, target, "must not contain '..'")];
}

export function relativePath(target: string, path: FieldPath): FieldError[] {
  const wrong = noBacksteps(target, path);
  if (target.startsWith('/')) wrong.unshift(fieldErrors.invalid(path, target, 'must be a relative path'));
  return wrong;
}

/** Names starting with two dots are the kubelet's own, for atomic updates. */
export function nonReservedPath(target: string, path: FieldPath): FieldError[] {
  const wrong = relativePath(target, path);
  if (target.startsWith('..') && !target.startsWith('../')) {
    wrong.push(fieldErrors.invalid(path, target, "must not start with '..'"));
  }
  return wrong;
}

export function fileMode(mode: number | undefined | null, path: FieldPath): FieldError[] {
  if (mode == null || (mode >= 0 && mode <= 0o777)) return [];
  return [fieldErrors.invalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive')];
}
