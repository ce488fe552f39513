/**
 * What expressions make patches of (apiserver/pkg/cel/mutation, pkg/cel/library/jsonpatch.go): objects of the types
 * `Object`, `Object.spec`, …, whose fields may be anything, operations of the type `JSONPatch`, and
 * `jsonpatch.escapeKey`.
 */
import { fn, type Library, tableOf } from '../check/functions.ts';
import { equal } from '../run/compare.ts';
import { formatValue } from '../run/format.ts';
import { CelFailure, CelMessage, type CelValue, fail, goNativeTypeOf, typeNameOf } from '../run/values.ts';
import { type CelField, type CelType, dynType, listType, stringType } from '../types.ts';
import { functions, typeNames } from './index.ts';

/** Any name is a field, of any type. */
class AnyField extends Map<string, CelField> {
  override get(_name: string): CelField {
    return { type: dynType };
  }
}
const anyField = new AnyField();

/** `Object.spec{replicas: 1}`. */
export class CelObject extends CelMessage {
  readonly typeName: string;
  readonly fields: ReadonlyMap<string, CelValue>;

  constructor(typeName: string, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.typeName = typeName;
    this.fields = fields;
  }

  /** Fields are no part of the language of the object's type: nothing can be read back from it. */
  override find(_field: CelValue): undefined {
    return undefined;
  }

  override equals(other: CelMessage): boolean {
    if (!(other instanceof CelObject) || other.typeName !== this.typeName) return false;
    if (other.fields.size !== this.fields.size) return false;
    for (const [name, value] of this.fields) {
      const theirs = other.fields.get(name);
      if (theirs === undefined || typeNameOf(theirs) !== typeNameOf(value)) return false;
      if (equal(value, theirs) !== true) return false;
    }
    return true;
  }
}

const operationName = 'JSONPatch';
const textFields = ['op', 'path', 'from'] as const;

/** `JSONPatch{op: "add", path: "/metadata/labels/a", value: "b"}`. */
export class CelPatchOperation extends CelMessage {
  readonly typeName = operationName;
  readonly fields: ReadonlyMap<string, CelValue>;

  private constructor(fields: ReadonlyMap<string, CelValue>) {
    super();
    this.fields = fields;
  }

  static of(fields: ReadonlyMap<string, CelValue>): CelPatchOperation | CelFailure {
    const set = new Map<string, CelValue>();
    for (const name of textFields) {
      const value = fields.get(name) ?? '';
      if (typeof value !== 'string')
        return fail(`unexpected type ${goNativeTypeOf(value)} for JSONPatchType '${name}' field`);
      // An empty text is one that is not set.
      if (value !== '') set.set(name, value);
    }
    const value = fields.get('value');
    if (value !== undefined) set.set('value', value);
    return new CelPatchOperation(set);
  }

  override zero(field: CelValue): CelValue | undefined {
    if (field === 'value') return null;
    return textFields.some((name) => name === field)
      ? ''
      : fail(`unsupported indexer: ${formatValue(field)}`);
  }

  override equals(other: CelMessage): boolean {
    if (!(other instanceof CelPatchOperation) || other.fields.size !== this.fields.size) return false;
    return [...this.fields].every(([name, value]) => {
      const theirs = other.fields.get(name);
      return theirs !== undefined && equal(value, theirs) === true;
    });
  }
}

/** The type of one operation. */
const patchOperationType: CelType = {
  kind: 'object',
  name: operationName,
  params: [],
  fields: new Map<string, CelField>([
    ...textFields.map((name): [string, CelField] => [name, { type: stringType }]),
    ['value', { type: dynType }],
  ]),
  create: (fields) => CelPatchOperation.of(fields),
};

const objectName = /^Object(?:\.|$)/;

/** The type of an object at a path: `Object` itself, `Object.spec`, … */
const objectTypeNamed = (name: string): CelType => ({
  kind: 'object',
  name,
  params: [],
  fields: anyField,
  create: (fields) => new CelObject(name, fields),
});

/** What expressions of the two kinds of mutation evaluate to. */
export const applyConfigurationType: CelType = objectTypeNamed('Object');
export const jsonPatchType: CelType = listType(patchOperationType);

/** The functions and types that a mutation's expression may use. */
export const patchLibrary: Library = {
  functions: new Map([
    ...functions,
    ...tableOf([
      fn(
        'jsonpatch.escapeKey',
        'string_jsonpatch_escapeKey_string',
        [stringType],
        stringType,
        (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1'),
      ),
    ]),
  ]),
  types: {
    get(name) {
      if (name === operationName) return patchOperationType;
      return objectName.test(name) ? objectTypeNamed(name) : typeNames.get(name);
    },
  },
};
