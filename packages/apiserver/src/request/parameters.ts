import { goQuote } from '@cloudless/kube/field';
import type { PatchType } from '@cloudless/kube/client/client';
import { errors } from '@cloudless/kube/status';
import type { DeleteOptions } from '@cloudless/kube/types/meta-v1';
import type { ListParameters } from '../registry/list.ts';
import { validateWriteOptions } from '../registry/validation/metadata.ts';
import type { FieldValidation } from './body.ts';
import { isTrue } from './parse.ts';

export interface WriteParameters {
  dryRun: boolean;
  fieldValidation: FieldValidation;
  fieldManager: string;
  /** Of an apply: whether fields are taken from their managers. */
  force: boolean;
  /** As CreateOptions, UpdateOptions or PatchOptions, for admission. */
  options: Readonly<Record<string, unknown>>;
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw errors.badRequest(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  }
  return value;
}

const boolean = (query: URLSearchParams, name: string): boolean | undefined =>
  query.has(name) ? isTrue(query.get(name)) : undefined;

/** Parameters of list and watch; throws 400. */
export function listParameters(query: URLSearchParams, namespace: string): ListParameters {
  return {
    namespace,
    labelSelector: query.get('labelSelector') ?? undefined,
    fieldSelector: query.get('fieldSelector') ?? undefined,
    limit: integer(query, 'limit'),
    continue: query.get('continue') ?? undefined,
    resourceVersion: query.get('resourceVersion') ?? undefined,
    resourceVersionMatch: query.get('resourceVersionMatch') ?? undefined,
    sendInitialEvents: boolean(query, 'sendInitialEvents'),
  };
}

/** `timeoutSeconds` of a watch; undefined: the server's own. */
export const timeoutSeconds = (query: URLSearchParams): number | undefined =>
  integer(query, 'timeoutSeconds');

/** Parameters of create, update and patch; throws 422 as upstream's validation of the options' kind. */
export function writeParameters(
  query: URLSearchParams,
  kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions',
  patchType?: PatchType,
): WriteParameters {
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  const fieldManager = query.get('fieldManager') ?? '';
  const fieldValidation = query.get('fieldValidation') ?? '';
  const force = kind === 'PatchOptions' ? boolean(query, 'force') : undefined;
  const found = validateWriteOptions({ dryRun, fieldManager, fieldValidation, force, patchType });
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind }, '', found);
  return {
    dryRun: dryRun.length > 0,
    fieldManager,
    force: force === true,
    fieldValidation: (fieldValidation || 'Warn') as FieldValidation,
    options: {
      kind,
      apiVersion: 'meta.k8s.io/v1',
      ...(dryRun.length > 0 ? { dryRun } : {}),
      ...(fieldManager === '' ? {} : { fieldManager }),
      ...(fieldValidation === '' ? {} : { fieldValidation }),
    },
  };
}

/** DeleteOptions from the query, for a deletion without a body. */
export function deleteOptionsOf(query: URLSearchParams): DeleteOptions {
  const grace = integer(query, 'gracePeriodSeconds');
  const orphan = boolean(query, 'orphanDependents');
  const propagationPolicy = query.get('propagationPolicy');
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  return {
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(orphan === undefined ? {} : { orphanDependents: orphan }),
    ...(propagationPolicy === null ? {} : { propagationPolicy }),
    ...(dryRun.length > 0 ? { dryRun } : {}),
  };
}
