import type { KubeObject } from '@cloudless/kube/object';
import type { Entry } from '../cache/entry.ts';
import type { Served } from '../registry/catalogue.ts';
import type { StoredResource } from '../registry/registry.ts';
import { defaultTable } from '../registry/strategies/table/table.ts';
import type { TableDefinition } from '../registry/strategy.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableView {
  /** `meta.k8s.io/v1` or `v1beta1`. */
  apiVersion: string;
  include: IncludeObject;
  definition: TableDefinition<KubeObject>;
}

/** The columns of a kind, in the version that `served` serves. */
export const tableOf = (stored: StoredResource, { resource }: Served): TableDefinition<KubeObject> =>
  stored.strategyOf(resource).table ?? defaultTable;

function rowObject(object: KubeObject, view: TableView): unknown {
  if (view.include === 'None') return undefined;
  if (view.include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: view.apiVersion, metadata: object.metadata };
}

/** One Table of rows; `columns: false` for the events of a watch after its first. */
export function tableFor(
  entries: ReadonlyArray<Pick<Entry, 'object'>>,
  view: TableView,
  metadata: object,
  nowMs: number,
  columns = true,
): object {
  const rows = entries.map(({ object }) => {
    const shown = rowObject(object, view);
    return { cells: view.definition.cells(object, nowMs), ...(shown === undefined ? {} : { object: shown }) };
  });
  return {
    kind: 'Table',
    apiVersion: view.apiVersion,
    metadata,
    columnDefinitions: columns ? view.definition.columns.map((column) => ({ format: '', ...column })) : null,
    rows,
  };
}
