import type { KubeObject } from '@cloudless/kube/object';
import type { Served } from '../registry/catalogue.ts';
import type { StoredResource } from '../registry/registry.ts';
import { defaultTable } from '../registry/strategies/table/table.ts';
import type { TableDefinition } from '../registry/strategy.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** What a row shows: the object as it is stored, and in the version that was asked for. */
export interface Row {
  readonly object: KubeObject;
  /** Absent: as it is stored. */
  readonly inVersion?: () => KubeObject;
}

export interface TableView {
  /** `meta.k8s.io/v1` or `v1beta1`. */
  apiVersion: string;
  include: IncludeObject;
  definition: TableDefinition<KubeObject>;
}

/** The columns of a kind, in the version that `served` serves. */
export const tableOf = (stored: StoredResource, { resource }: Served): TableDefinition<KubeObject> =>
  stored.strategyOf(resource).table ?? defaultTable;

function rowObject({ object, inVersion }: Row, view: TableView): unknown {
  if (view.include === 'None') return undefined;
  if (view.include === 'Object') return inVersion?.() ?? object;
  return { kind: 'PartialObjectMetadata', apiVersion: view.apiVersion, metadata: object.metadata };
}

/** One Table of rows; `columns: false` for the events of a watch after its first. */
export function tableFor(
  entries: readonly Row[],
  view: TableView,
  metadata: object,
  nowMs: number,
  columns = true,
): object {
  const { definition } = view;
  const inOrder = (a: Row, b: Row): number => definition.compare?.(a.object, b.object) ?? 0;
  const ordered = definition.compare ? entries.toSorted(inOrder) : entries;
  const rows = ordered.map((row) => cellsOf(row, view, nowMs));
  return { ...tableHead(view, metadata, columns), rows };
}

/** One row of a Table. */
export function cellsOf(row: Row, view: TableView, nowMs: number): object {
  const shown = rowObject(row, view);
  return {
    cells: view.definition.cells(row.object, nowMs),
    ...(shown === undefined ? {} : { object: shown }),
  };
}

/** A Table but for its rows. */
export function tableHead(view: TableView, metadata: object, columns: boolean): object {
  return {
    kind: 'Table',
    apiVersion: view.apiVersion,
    metadata,
    columnDefinitions: columns ? view.definition.columns.map((column) => ({ format: '', ...column })) : null,
  };
}
