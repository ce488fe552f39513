import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { ControllerRevision } from '@cloudless/kube/types/apps-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, nonNegative } from '../../validation/fields.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const dataPath = FieldPath.of('data');

const validateNumber = (revision: ControllerRevision): FieldError[] =>
  nonNegative(revision.revision, FieldPath.of('revision'));

function validateData({ data }: ControllerRevision): FieldError[] {
  if (data == null) return [fieldErrors.required(dataPath, 'data is mandatory')];
  const isObject = typeof data === 'object' && !Array.isArray(data);
  return isObject ? [] : [fieldErrors.required(dataPath, 'data must be a valid JSON object')];
}

function controllerCell(revision: ControllerRevision): string {
  const owner = revision.metadata.ownerReferences?.find((reference) => reference.controller);
  if (!owner) return '<none>';
  const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
  return `${owner.kind}${group}`.toLowerCase() + `/${owner.name}`;
}

/** Upstream: pkg/registry/apps/controllerrevision. */
export const controllerRevision: Strategy<ControllerRevision> = {
  validate: (_context, object) => [...validateNumber(object), ...validateData(object)],
  validateUpdate: (_context, object, old) => [
    ...validateNumber(object),
    ...immutable(object.data, old.data, dataPath),
  ],
  table: table<ControllerRevision>(
    [text('Controller', 'Whose history it is.'), text('Revision', 'Its number.'), ageColumn],
    (object, nowMs) => [controllerCell(object), object.revision ?? 0, ageOf(object, nowMs)],
  ),
};
