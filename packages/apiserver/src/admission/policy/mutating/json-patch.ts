import type { KubeObject } from '@cloudless/kube/object';
import { applyJsonPatch, JsonPatchTestError, maxOperations } from '@cloudless/kube/patch/json-patch';
import { CelObject, CelPatchOperation } from '../../../cel/lib/patches.ts';
import {
  CelList,
  CelMap,
  CelMessage,
  CelOpaque,
  type CelValue,
  typeNameOf,
} from '../../../cel/run/values.ts';
import { CelOptional, CelTypeValue } from '../../../cel/run/values.ts';
import { toJson } from '../../../cel/schema/json.ts';
import { messageOf } from '../invocations.ts';
import { checkTypeNames } from './type-names.ts';

const unmarshalable = (why: string): Error =>
  new Error(`JSONPath valueExpression evaluated to a type that could not marshal to JSON: ${why}`);

/** A value as JSON; integers that a double cannot hold become texts, as in protobuf's JSON. */
function jsonOf(value: CelValue): unknown {
  if (value instanceof CelObject) return toJson(value);
  if (value instanceof CelList) return [...value].map(jsonOf);
  if (value instanceof CelMap) {
    const entries = [...value.keys()].map((key): [string, unknown] => {
      if (typeof key !== 'string')
        throw unmarshalable(`unsupported type conversion from '${typeNameOf(key)}' to string`);
      return [key, jsonOf(value.find(key) ?? null)];
    });
    return Object.fromEntries(entries);
  }
  const hasNone = [CelMessage, CelOpaque, CelOptional, CelTypeValue].some((one) => value instanceof one);
  if (hasNone) throw unmarshalable(`a value of type ${typeNameOf(value)} has no JSON`);
  const json = toJson(value);
  if (typeof json === 'number' && !Number.isFinite(json)) throw unmarshalable(`${json} has no JSON`);
  return typeof json === 'bigint' ? String(json) : json;
}

function operationOf(operation: CelValue): Record<string, unknown> {
  if (!(operation instanceof CelPatchOperation))
    throw new Error(
      `type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of ${typeNameOf(operation)}`,
    );
  const { fields } = operation;
  const from = fields.get('from');
  const value = fields.get('value');
  if (value instanceof CelObject) checkTypeNames(value);
  return {
    op: fields.get('op') ?? '',
    path: fields.get('path') ?? '',
    ...(from === undefined ? {} : { from }),
    ...(value === undefined ? {} : { value: jsonOf(value) }),
  };
}

/**
 * The object after the operations of a mutation; itself where a `test` among them finds another value (upstream:
 * policy/mutating/patch/json_patch.go). `object` is not changed. Throws what does not apply, in upstream's words.
 */
export function patchByOperations(object: KubeObject, value: unknown): unknown {
  if (!(value instanceof CelList))
    throw new Error('type mismatch: JSONPatchType.expression should evaluate to array');
  if (value.size > maxOperations)
    throw new Error(
      `JSON Patch: the expression made ${value.size} operations; at most ${maxOperations} are allowed`,
    );
  const operations = [...value].map(operationOf);
  try {
    return applyJsonPatch(object, operations);
  } catch (error) {
    if (error instanceof JsonPatchTestError) return object;
    throw new Error(`JSON Patch: ${messageOf(error)}`, { cause: error });
  }
}
