/** How strategies declare their Table columns, and what several kinds' rows share. */
import type { KubeObject } from '@cloudless/kube/object';
import type { Container, LoadBalancerStatus } from '@cloudless/kube/types/core-v1';
import { formatLabelSelector } from '@cloudless/kube/selector/selector';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import type { TableDefinition } from '../../strategy.ts';
import { age } from './age.ts';

export type Column = TableDefinition<KubeObject>['columns'][number];

const column =
  (type: Column['type'], priority: number) =>
  (name: string, description: string): Column => ({ name, type, description, priority });

/** Always shown. */
export const text = column('string', 0);
export const integer = column('integer', 0);
export const boolean = column('boolean', 0);
/** Only with `-o wide`. */
export const wideText = column('string', 1);

export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique among its kind in a namespace.',
  priority: 0,
};
export const ageColumn: Column = text('Age', 'Time since the object was created.');

export const containersColumn = wideText('Containers', 'Names of the containers in the template.');
export const imagesColumn = wideText('Images', 'Images of the containers in the template.');
export const selectorColumn = wideText('Selector', 'Labels by which the object finds its pods.');

/** A table whose first column is the name; `cells` gives the rest. */
export function table<T extends KubeObject>(
  columns: readonly Column[],
  cells: (object: T, nowMs: number) => unknown[],
): TableDefinition<T> {
  return {
    columns: [nameColumn, ...columns],
    cells: (object, nowMs) => [object.metadata.name ?? '', ...cells(object, nowMs)],
  };
}

export const ageOf = (object: KubeObject, nowMs: number): string =>
  age(object.metadata.creationTimestamp, nowMs);

/** Name and Age, for kinds that declare nothing, custom resources included. */
export const defaultTable: TableDefinition<KubeObject> = {
  columns: [nameColumn, { ...ageColumn, type: 'date' }],
  cells: (object, nowMs) => [object.metadata.name ?? '', ageOf(object, nowMs)],
};

/** Name and creation time as a timestamp: upstream's table of built-in kinds without a printer of their own. */
export const createdAtTable: TableDefinition<KubeObject> = {
  columns: [
    nameColumn,
    { name: 'Created At', type: 'date', description: 'When the object was created.', priority: 0 },
  ],
  cells: (object) => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? '<unknown>'],
};

/** `Containers` and `Images` cells. */
export function containerCells(containers: readonly Container[] | undefined): [string, string] {
  const all = containers ?? [];
  return [
    all.map((container) => container.name).join(','),
    all.map((container) => container.image ?? '').join(','),
  ];
}

/** `a=1,b=2`, or `<none>`. */
export function labelsCell(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? '<none>' : pairs.sort().join(',');
}

/** A selector as text, `<none>` when empty, `<error>` when it cannot be read. */
export function selectorCell(selector: LabelSelector | undefined): string {
  try {
    return formatLabelSelector(selector);
  } catch {
    return '<error>';
  }
}

/** Addresses of a load balancer, sorted. */
export function loadBalancerCell(status: LoadBalancerStatus | undefined): string {
  const points = (status?.ingress ?? []).map((point) => point.ip || point.hostname || '');
  return [...new Set(points.filter((point) => point !== ''))].sort().join(',');
}

/** `first, second, third + 2 more...` */
export function listCell(list: readonly string[], max: number, separator = ','): string {
  if (list.length === 0) return '<none>';
  const shown = list.slice(0, max).join(separator);
  return list.length > max ? `${shown} + ${list.length - max} more...` : shown;
}

export const orNone = (value: string | undefined): string => value || '<none>';
