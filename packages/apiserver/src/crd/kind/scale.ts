/** The scale subresource of custom kinds, by the paths of their definition. */
import { goTypeName, isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import { setMember } from '@cloudless/kube/codec/json-reader';
import { stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import type { CustomResourceSubresourceScale } from '@cloudless/kube/types/apiextensions-v1';
import type { Scale } from '@cloudless/kube/types/autoscaling-v1';
import type { ScaleMapping } from '../../registry/strategy.ts';
import { cloneJson } from '../../storage/codec.ts';
import { isScalar } from './scalar.ts';

const maxInt32 = 2 ** 31 - 1;
/** Replicas of a Scale whose object has none (upstream: invalidSpecReplicas). */
const neverSet = -(2 ** 31);
const namesOf = (path: string): string[] => path.replace(/^\./, '').split('.');

/** What stands at a dotted path; an Error in upstream's words when something else than an object is on the way. */
function nested(object: KubeObject, path: string): unknown {
  const names = namesOf(path);
  let value: unknown = object;
  for (const [i, name] of names.entries()) {
    if (value === undefined || value === null) return undefined;
    if (!isJsonObject(value)) throw wrong(names.slice(0, i + 1).join('.'), value, 'map[string]interface{}');
    value = Object.hasOwn(value, name) ? value[name] : undefined;
  }
  return value;
}

const goValue = (value: unknown): string =>
  value === null ? '<nil>' : isScalar(value) ? String(value) : stringifyJson(value);

const wrong = (path: string, value: unknown, expected: string): Error =>
  new Error(
    `.${namesOf(path).join('.')} accessor error: ${goValue(value)} is of the type ${goTypeName(value)}, expected ${expected}`,
  );

function integerAt(object: KubeObject, path: string): number | undefined {
  const value = nested(object, path);
  if (value === undefined) return undefined;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'number' || !Number.isInteger(value)) throw wrong(path, value, 'int64');
  return value;
}

function textAt(object: KubeObject, path: string): string | undefined {
  const value = nested(object, path);
  if (value !== undefined && typeof value !== 'string') throw wrong(path, value, 'string');
  return value;
}

function validateReplicas(object: KubeObject, path: string): FieldError[] {
  const at = FieldPath.of(path);
  try {
    const replicas = integerAt(object, path) ?? 0;
    if (replicas < 0) return [fieldErrors.invalid(at, replicas, 'should be a non-negative integer')];
    if (replicas <= maxInt32) return [];
    return [fieldErrors.invalid(at, replicas, `should be less than or equal to ${maxInt32}`)];
  } catch (error) {
    return [fieldErrors.invalid(at, 0, (error as Error).message)];
  }
}

/** Whether replicas can be read where the definition says they are wanted. */
export const validateScaleSpec = (
  object: KubeObject,
  scale: CustomResourceSubresourceScale | undefined,
): FieldError[] => (scale ? validateReplicas(object, scale.specReplicasPath) : []);

/** Whether observed replicas and the selector can be read. */
export function validateScaleStatus(
  object: KubeObject,
  scale: CustomResourceSubresourceScale | undefined,
): FieldError[] {
  if (!scale) return [];
  const found = validateReplicas(object, scale.statusReplicasPath);
  if (scale.labelSelectorPath === undefined) return found;
  try {
    textAt(object, scale.labelSelectorPath);
  } catch (error) {
    found.push(fieldErrors.invalid(FieldPath.of(scale.labelSelectorPath), '', (error as Error).message));
  }
  return found;
}

/** The object as Scale and back. */
export function scaleMappingOf(scale: CustomResourceSubresourceScale): ScaleMapping {
  const { specReplicasPath, statusReplicasPath, labelSelectorPath = '' } = scale;
  const read = (object: KubeObject, mustBeThere: boolean): Scale => {
    const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
    const replicas = integerAt(object, specReplicasPath);
    if (replicas === undefined && mustBeThere)
      throw errors.internal(`the spec replicas field ${JSON.stringify(specReplicasPath)} does not exist`);
    const selector = labelSelectorPath === '' ? undefined : textAt(object, labelSelectorPath);
    return {
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
      // Whoever changes the Scale without giving any finds the mark again in `withScale`.
      spec: replicas === undefined ? { replicas: neverSet } : replicas === 0 ? {} : { replicas },
      status: { replicas: integerAt(object, statusReplicasPath) ?? 0, ...(selector ? { selector } : {}) },
    };
  };
  return {
    scaleOf: (object, purpose) => readOr500(() => read(object, purpose === 'get')),
    withScale(object, wanted) {
      const changed = cloneJson(object);
      const replicas = wanted.spec?.replicas ?? 0;
      if (replicas === neverSet)
        throw errors.badRequest(
          `the spec replicas field ${JSON.stringify(specReplicasPath)} cannot be empty`,
        );
      setNested(changed as unknown as JsonObject, namesOf(specReplicasPath), replicas);
      return changed;
    },
  };
}

function readOr500(read: () => Scale): Scale {
  try {
    return read();
  } catch (error) {
    throw error instanceof StatusError ? error : errors.internal((error as Error).message);
  }
}

function setNested(object: JsonObject, names: readonly string[], value: unknown): void {
  let at = object;
  for (const [i, name] of names.slice(0, -1).entries()) {
    const next = Object.hasOwn(at, name) ? at[name] : undefined;
    if (next !== undefined && !isJsonObject(next)) {
      const path = names.slice(0, i + 1).join('.');
      throw errors.internal(`value cannot be set because .${path} is not a map[string]interface{}`);
    }
    const child: JsonObject = next ?? {};
    if (next === undefined) setMember(at, name, child);
    at = child;
  }
  setMember(at, names.at(-1) as string, value);
}
