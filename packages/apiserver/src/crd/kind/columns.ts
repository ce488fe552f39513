/** Tables of custom kinds, by the printer columns of their definition (apiextensions-apiserver's tableconvertor). */
import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionVersion,
} from '@cloudless/kube/types/apiextensions-v1';
import { age } from '../../registry/strategies/table/age.ts';
import { defaultTable, nameColumn } from '../../registry/strategies/table/table.ts';
import type { TableDefinition } from '../../registry/strategy.ts';
import { compileJsonPath, JsonPathError } from './json-path.ts';
import { isScalar } from './scalar.ts';

type Table = TableDefinition<KubeObject>;
type Column = Table['columns'][number];

/** The columns of a version; name and age when it declares none. A path that cannot be read ends them. */
export function columnsOf(version: CustomResourceDefinitionVersion): Table {
  const declared = version.additionalPrinterColumns ?? [];
  if (declared.length === 0) return defaultTable;
  const columns: Column[] = [nameColumn];
  const cells: Array<(object: KubeObject, nowMs: number) => unknown> = [];
  for (const column of declared) {
    const read = reader(column.jsonPath);
    if (!read) break;
    columns.push(headerOf(column));
    cells.push((object, nowMs) => cellOf(read, object, column.type, nowMs));
  }
  return {
    columns,
    cells: (object, nowMs) => [object.metadata.name ?? '', ...cells.map((cell) => cell(object, nowMs))],
  };
}

function reader(path: string): ((object: unknown) => unknown[]) | undefined {
  try {
    return compileJsonPath(path);
  } catch (error) {
    if (error instanceof JsonPathError) return undefined;
    throw error;
  }
}

const headerOf = (column: CustomResourceColumnDefinition): Column => ({
  name: column.name,
  type: column.type as Column['type'],
  format: column.format ?? '',
  description:
    column.description || `Custom resource definition column (in JSONPath format): ${column.jsonPath}`,
  priority: column.priority ?? 0,
});

function cellOf(
  read: (object: unknown) => unknown[],
  object: KubeObject,
  type: string,
  nowMs: number,
): unknown {
  let value: unknown;
  try {
    [value] = read(object);
  } catch (error) {
    if (error instanceof JsonPathError) return null;
    throw error;
  }
  if (value === undefined || value === null) return value === null && type === 'string' ? '<nil>' : null;
  switch (type) {
    case 'string':
      return isScalar(value) ? String(value) : stringifyJson(value);
    case 'integer':
      if (typeof value === 'bigint') return value;
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      return typeof value === 'string' ? dateCell(value, nowMs) : null;
    default:
      return null;
  }
}

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

function dateCell(value: string, nowMs: number): string {
  if (value === '' || value === 'null') return '<unknown>';
  return dateTime.test(value) && !Number.isNaN(Date.parse(value)) ? age(value, nowMs) : '<invalid>';
}
