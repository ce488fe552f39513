/** Environment variables and what they may refer to (upstream: ValidateEnv, ValidateEnvFrom). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  FileKeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from '@cloudless/kube/types/core-v1';
import { dns1123Label, invalidEach, qualifiedName, required } from '../../validation/fields.ts';
import { isConfigMapKey, isEnvName, nameIsDnsSubdomain } from '../../validation/names.ts';
import { formatQuantity, signOf } from '../../validation/quantities.ts';
import { noBacksteps } from './paths.ts';

const envFieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
/** Fields that a downward API volume may show. */
export const volumeFieldPaths = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];
/** Fields that upstream's conversion knows; anything else is an error of its own. */
const knownFieldPaths = new Set([
  ...envFieldPaths,
  ...volumeFieldPaths,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);

const resourcePaths = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];
const isHugePages = (resource: string): boolean => /^(requests|limits)\.hugepages-/.test(resource);
const byteDivisors = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

/** `metadata.labels['key']` → its two parts. */
function splitSubscript(fieldPath: string): { path: string; subscript: string } | undefined {
  if (!fieldPath.endsWith("']")) return undefined;
  const at = fieldPath.indexOf("['");
  if (at <= 0) return undefined;
  return { path: fieldPath.slice(0, at), subscript: fieldPath.slice(at + 2, -2) };
}

export function validateFieldRef(
  reference: ObjectFieldSelector,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] {
  if (!reference.apiVersion) return [fieldErrors.required(path.child('apiVersion'))];
  if (!reference.fieldPath) return [fieldErrors.required(path.child('fieldPath'))];
  const at = path.child('fieldPath');
  const subscripted = splitSubscript(reference.fieldPath);
  // The old name of spec.nodeName.
  const field = reference.fieldPath === 'spec.host' ? 'spec.nodeName' : reference.fieldPath;
  if (reference.apiVersion !== 'v1') {
    const text = `error converting fieldPath: unsupported pod version: ${reference.apiVersion}`;
    return [fieldErrors.invalid(at, reference.fieldPath, text)];
  }
  if (subscripted) {
    if (subscripted.path === 'metadata.annotations')
      return qualifiedName(subscripted.subscript.toLowerCase(), path);
    if (subscripted.path === 'metadata.labels') return qualifiedName(subscripted.subscript, path);
    const text = `error converting fieldPath: field label does not support subscript: ${reference.fieldPath}`;
    return [fieldErrors.invalid(at, reference.fieldPath, text)];
  }
  if (!knownFieldPaths.has(field)) {
    const text = `error converting fieldPath: field label not supported: ${reference.fieldPath}`;
    return [fieldErrors.invalid(at, reference.fieldPath, text)];
  }
  return supported.includes(field) ? [] : [fieldErrors.notSupported(at, field, supported)];
}

function validateDivisor(reference: ResourceFieldSelector, path: FieldPath): FieldError[] {
  if (signOf(reference.divisor) === 0) return [];
  const divisor = formatQuantity(reference.divisor);
  const resource = reference.resource ?? '';
  const at = path.child('divisor');
  if (resource.endsWith('.cpu')) {
    if (['1m', '1'].includes(divisor)) return [];
    return [
      fieldErrors.invalid(at, resource, "only divisor's values 1m and 1 are supported with the cpu resource"),
    ];
  }
  if (byteDivisors.includes(divisor)) return [];
  const noun = resource.endsWith('.memory')
    ? 'memory'
    : resource.endsWith('.ephemeral-storage')
      ? 'local ephemeral storage'
      : isHugePages(resource)
        ? 'hugepages'
        : undefined;
  if (noun === undefined) return [];
  const text = `only divisor's values ${byteDivisors.join(', ')} are supported with the ${noun} resource`;
  return [fieldErrors.invalid(at, resource, text)];
}

/** `inVolume`: the container must be named, since a volume belongs to the pod. */
export function validateResourceFieldRef(
  reference: ResourceFieldSelector,
  path: FieldPath,
  inVolume: boolean,
): FieldError[] {
  const wrong: FieldError[] = [];
  const resource = reference.resource ?? '';
  if (inVolume && !reference.containerName) wrong.push(fieldErrors.required(path.child('containerName')));
  else if (resource === '') wrong.push(fieldErrors.required(path.child('resource')));
  else if (!resourcePaths.includes(resource) && !isHugePages(resource)) {
    wrong.push(fieldErrors.notSupported(path.child('resource'), resource, resourcePaths));
  }
  return [...wrong, ...validateDivisor(reference, path)];
}

function validateKeySelector(selector: { name?: string; key: string }, path: FieldPath): FieldError[] {
  const name = selector.name ?? '';
  const wrong = invalidEach(path.child('name'), name, nameIsDnsSubdomain(name));
  if (!selector.key) return [...wrong, fieldErrors.required(path.child('key'))];
  return [...wrong, ...invalidEach(path.child('key'), selector.key, isConfigMapKey(selector.key))];
}

function validateFileKey(selector: FileKeySelector, path: FieldPath): FieldError[] {
  const wrong = ([] as FieldError[]).concat(
    selector.key
      ? invalidEach(path.child('key'), selector.key, isEnvName(selector.key))
      : fieldErrors.required(path.child('key')),
    selector.volumeName
      ? dns1123Label(selector.volumeName, path.child('volumeName'))
      : fieldErrors.required(path.child('volumeName')),
    selector.path ? noBacksteps(selector.path, path.child('path')) : fieldErrors.required(path.child('path')),
  );
  return wrong;
}

function validateValueFrom(variable: EnvVar, source: EnvVarSource, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (source.fieldRef)
    wrong.push(...validateFieldRef(source.fieldRef, envFieldPaths, path.child('fieldRef')));
  if (source.resourceFieldRef) {
    wrong.push(...validateResourceFieldRef(source.resourceFieldRef, path.child('resourceFieldRef'), false));
  }
  if (source.configMapKeyRef) {
    wrong.push(...validateKeySelector(source.configMapKeyRef, path.child('configMapKeyRef')));
  }
  if (source.secretKeyRef)
    wrong.push(...validateKeySelector(source.secretKeyRef, path.child('secretKeyRef')));
  if (source.fileKeyRef) wrong.push(...validateFileKey(source.fileKeyRef, path.child('fileKeyRef')));
  const count = Object.values(source).filter((value) => value != null).length;
  if (count === 0) {
    const text =
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`';
    wrong.push(fieldErrors.invalid(path, '', text));
  } else if (variable.value) {
    wrong.push(fieldErrors.invalid(path, '', 'may not be specified when `value` is not empty'));
  } else if (count > 1) {
    wrong.push(fieldErrors.invalid(path, '', 'may not have more than one field specified at a time'));
  }
  return wrong;
}

export function validateEnv(variables: readonly EnvVar[] | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  variables?.forEach((variable, i) => {
    const at = path.index(i);
    if (!variable.name) wrong.push(fieldErrors.required(at.child('name')));
    else wrong.push(...invalidEach(at.child('name'), variable.name, isEnvName(variable.name)));
    if (variable.valueFrom)
      wrong.push(...validateValueFrom(variable, variable.valueFrom, at.child('valueFrom')));
  });
  return wrong;
}

function validateSourceName(source: { name?: string }, path: FieldPath): FieldError[] {
  if (!source.name) return required(source.name, path.child('name'));
  return invalidEach(path.child('name'), source.name, nameIsDnsSubdomain(source.name, true));
}

export function validateEnvFrom(
  sources: readonly EnvFromSource[] | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  sources?.forEach((source, i) => {
    const at = path.index(i);
    if (source.prefix)
      wrong.push(...invalidEach(at.child('prefix'), source.prefix, isEnvName(source.prefix)));
    if (source.configMapRef) wrong.push(...validateSourceName(source.configMapRef, at.child('configMapRef')));
    if (source.secretRef) wrong.push(...validateSourceName(source.secretRef, at.child('secretRef')));
    const count = Number(source.configMapRef != null) + Number(source.secretRef != null);
    if (count === 0) {
      wrong.push(fieldErrors.invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    } else if (count > 1) {
      wrong.push(fieldErrors.invalid(path, '', 'may not have more than one field specified at a time'));
    }
  });
  return wrong;
}
