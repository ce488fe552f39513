import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import { formatLabelSelector } from '@cloudless/kube/selector/selector';
import { errors } from '@cloudless/kube/status';
import type { Scale } from '@cloudless/kube/types/autoscaling-v1';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { ScaleMapping } from './strategy.ts';
import { cloneJson } from '../storage/codec.ts';
import { age } from './strategies/table/age.ts';
import { ageColumn, integer, nameColumn, text } from './strategies/table/table.ts';
import type { TableDefinition } from './strategy.ts';

interface Scalable extends KubeObject {
  spec?: { replicas?: number; selector?: LabelSelector | Record<string, string> };
  status?: { replicas?: number };
}

/** A ReplicationController's selector is a plain map, that of the others a LabelSelector. */
function selectorText(object: Scalable): string {
  const { selector } = object.spec ?? {};
  if (!selector) return '';
  if (object.kind !== 'ReplicationController') return formatLabelSelector(selector);
  const labels = selector as Record<string, string>;
  return Object.keys(labels)
    .sort()
    .map((name) => `${name}=${labels[name] ?? ''}`)
    .join(',');
}

/** `autoscaling/v1` Scale of an object that has replicas (kubernetes/pkg/registry/apps/deployment/storage). */
export function scaleOf(
  object: KubeObject,
  mapping?: ScaleMapping,
  purpose: 'get' | 'change' = 'get',
): Scale {
  if (mapping) return mapping.scaleOf(object, purpose);
  const { metadata, spec, status } = object as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = selectorText(object);
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: spec?.replicas ? { replicas: spec.replicas } : {},
    status: { replicas: status?.replicas ?? 0, ...(selector === '' ? {} : { selector }) },
  };
}

/** The object with the Scale's replicas; its uid and resourceVersion become preconditions. Throws 400, 422. */
export function withScale(object: KubeObject, scale: Scale, mapping?: ScaleMapping): KubeObject {
  const found: FieldError[] = [];
  const { name } = object.metadata;
  if (scale.metadata?.name && scale.metadata.name !== name) {
    throw errors.badRequest(
      `the name of the object (${scale.metadata.name}) does not match the name on the URL (${name ?? ''})`,
    );
  }
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas < 0 && !mapping) {
    const text = 'must be greater than or equal to 0';
    found.push(fieldErrors.invalid(FieldPath.of('spec', 'replicas'), replicas, text));
  }
  if (found.length > 0) throw errors.invalid({ group: 'autoscaling', kind: 'Scale' }, name ?? '', found);
  const changed = (mapping?.withScale(object, scale) ?? cloneJson(object)) as Scalable;
  if (!mapping) changed.spec = { ...changed.spec, replicas };
  if (scale.metadata?.resourceVersion) changed.metadata.resourceVersion = scale.metadata.resourceVersion;
  else delete changed.metadata.resourceVersion;
  if (scale.metadata?.uid) changed.metadata.uid = scale.metadata.uid;
  return changed;
}

/** Upstream: printScale, whose name has no format. */
export const scaleTable: TableDefinition<Scale & KubeObject> = {
  columns: [
    text('Name', nameColumn.description),
    integer('Desired', 'Pods that are wanted.'),
    integer('Available', 'Pods that there are.'),
    ageColumn,
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    spec?.replicas ?? 0,
    status?.replicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ],
};
