/** Requests for devices (upstream: pkg/apis/resource/validation). CEL expressions are kept as they are. */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  DeviceClaim,
  DeviceClaimConfiguration,
  DeviceConstraint,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  DeviceToleration,
  OpaqueDeviceConfiguration,
} from '@cloudless/kube/types/resource-v1';
import { dns1123Label, dns1123Subdomain, invalidEach } from '../../validation/fields.ts';
import { validateLabelName } from '../../validation/metadata.ts';
import { isLabelValue } from '../../validation/names.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';

const maxRequests = 32;
const maxConstraints = 32;
const maxConfigs = 32;
const maxSelectors = 32;
const maxAlternatives = 8;
const maxExpressionBytes = 10 * 1024;
const maxParametersBytes = 10 * 1024;
const maxIdentifierBytes = 32;
const allocationModes = ['All', 'ExactCount'];
const effects = ['NoExecute', 'NoSchedule', 'None'];
const identifierText =
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
const referenceText =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/** Each item, unless there are too many to look at; with `key`, each key once. */
export function validateItems<T>(
  items: readonly T[] | undefined,
  path: FieldPath,
  max: number,
  check: (item: T, path: FieldPath) => FieldError[],
  key?: (item: T) => string,
): FieldError[] {
  const list = items ?? [];
  if (list.length > max) return [fieldErrors.tooMany(path, list.length, max)];
  const wrong = list.flatMap((item, i) => check(item, path.index(i)));
  if (!key) return wrong;
  const keys = list.map(key);
  for (const [i, text] of keys.entries())
    if (keys.indexOf(text) < i) wrong.push(fieldErrors.duplicate(path.index(i), text));
  return wrong;
}

export function validateSelector(selector: DeviceSelector, path: FieldPath): FieldError[] {
  if (!selector.cel) return [fieldErrors.required(path.child('cel'))];
  const length = Buffer.byteLength(selector.cel.expression ?? '');
  if (length <= maxExpressionBytes) return [];
  return [fieldErrors.tooLong(path.child('cel', 'expression'), maxExpressionBytes)];
}

export const validateSelectors = (
  selectors: readonly DeviceSelector[] | undefined,
  path: FieldPath,
): FieldError[] => validateItems(selectors, path, maxSelectors, validateSelector);

function validateToleration(toleration: DeviceToleration, path: FieldPath): FieldError[] {
  const { key, operator = '', value = '', effect } = toleration;
  const wrong = key ? validateLabelName(key, path.child('key')) : [];
  if (operator === 'Exists') {
    const why = 'must be empty for operator `Exists`';
    if (value !== '') wrong.push(fieldErrors.invalid(path.child('value'), value, why));
  } else if (operator === 'Equal') {
    wrong.push(...invalidEach(path.child('value'), value, isLabelValue(value)));
  } else if (operator === '') wrong.push(fieldErrors.required(path.child('operator')));
  else wrong.push(fieldErrors.notSupported(path.child('operator'), operator, ['Equal', 'Exists']));
  if (effect && !effects.includes(effect))
    wrong.push(fieldErrors.notSupported(path.child('effect'), effect, effects));
  return wrong;
}

type Wanted = Omit<DeviceSubRequest, 'name'>;

/** What an exact request and an alternative have in common. */
function validateWanted(wanted: Wanted, path: FieldPath): FieldError[] {
  const { deviceClassName: name, allocationMode: mode = '', count = 0 } = wanted;
  const wrong: FieldError[] = [];
  const classPath = path.child('deviceClassName');
  if (name === '') wrong.push(fieldErrors.required(classPath));
  else wrong.push(...dns1123Subdomain(name, classPath));
  wrong.push(...validateSelectors(wanted.selectors, path.child('selectors')));
  const at = path.child('count');
  if (mode === 'All') {
    const why = "must not be specified when allocationMode is 'All'";
    if (count !== 0) wrong.push(fieldErrors.invalid(at, count, why));
  } else if (mode === 'ExactCount') {
    if (count <= 0) wrong.push(fieldErrors.invalid(at, count, 'must be greater than zero'));
  } else wrong.push(fieldErrors.notSupported(path.child('allocationMode'), mode, allocationModes));
  return [
    ...wrong,
    ...(wanted.tolerations ?? []).flatMap((one, i) =>
      validateToleration(one, path.child('tolerations').index(i)),
    ),
  ];
}

function validateRequest(request: DeviceRequest, path: FieldPath): FieldError[] {
  const wrong = dns1123Label(request.name ?? '', path.child('name'));
  const alternatives = request.firstAvailable ?? [];
  const why = 'exactly one of `exactly` or `firstAvailable` is required';
  if (request.exactly && alternatives.length > 0)
    return [...wrong, fieldErrors.invalid(path, null, `${why}, but multiple fields are set`)];
  if (request.exactly) return [...wrong, ...validateWanted(request.exactly, path.child('exactly'))];
  if (alternatives.length === 0) return [...wrong, fieldErrors.required(path, why)];
  return [
    ...wrong,
    ...validateItems(
      alternatives,
      path.child('firstAvailable'),
      maxAlternatives,
      (one, at) => [...dns1123Label(one.name ?? '', at.child('name')), ...validateWanted(one, at)],
      ({ name }) => name,
    ),
  ];
}

/** Names by which constraints and configurations may mean requests: `REQUEST` and `REQUEST/ALTERNATIVE`. */
const requestNames = (claim: DeviceClaim): ReadonlySet<string> =>
  new Set(
    (claim.requests ?? []).flatMap(({ name, firstAvailable = [] }) => [
      name,
      ...firstAvailable.map((one) => `${name}/${one.name ?? ''}`),
    ]),
  );

function validateReference(name: string, path: FieldPath, names: ReadonlySet<string>): FieldError[] {
  const segments = name.split('/');
  if (segments.length > 2) return [fieldErrors.invalid(path, name, referenceText)];
  const wrong = segments.flatMap((segment) => dns1123Label(segment, path));
  return names.has(name) ? wrong : [...wrong, fieldErrors.invalid(path, name, referenceText)];
}

const validateReferences = (
  list: readonly string[] | undefined,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] =>
  validateItems(
    list,
    path,
    maxRequests,
    (name, at) => validateReference(name, at, names),
    (name) => name,
  );

function validateIdentifier(name: string, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (Buffer.byteLength(name) > maxIdentifierBytes) wrong.push(fieldErrors.tooLong(path, maxIdentifierBytes));
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) wrong.push(fieldErrors.invalid(path, name, identifierText));
  return wrong;
}

/** `DOMAIN/NAME`. */
function validateAttributeName(name: string, path: FieldPath): FieldError[] {
  const parts = name.split('/');
  if (parts.length === 1) {
    const why = 'a fully qualified name must be a domain and a name separated by a slash';
    return [...validateIdentifier(name, path), fieldErrors.invalid(path, name, why)];
  }
  if (parts.length > 2) return [];
  const [domain = '', id = ''] = parts;
  return [
    ...(domain === ''
      ? [fieldErrors.invalid(path, '', 'the domain must not be empty')]
      : validateCsiDriverName(domain, path)),
    ...(id === ''
      ? [fieldErrors.invalid(path, '', 'the name must not be empty')]
      : validateIdentifier(id, path)),
  ];
}

function validateConstraint(
  constraint: DeviceConstraint,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] {
  const wrong = validateReferences(constraint.requests, path.child('requests'), names);
  const { matchAttribute: match, distinctAttribute: distinct } = constraint;
  if (match != null) wrong.push(...validateAttributeName(match, path.child('matchAttribute')));
  else if (distinct != null) wrong.push(...validateAttributeName(distinct, path.child('distinctAttribute')));
  else {
    const why =
      'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
    wrong.push(fieldErrors.required(path, why));
  }
  return wrong;
}

/** Parameters of a driver: a JSON object. */
export function validateOpaque(opaque: OpaqueDeviceConfiguration | undefined, path: FieldPath): FieldError[] {
  if (!opaque) return [fieldErrors.required(path)];
  const wrong = validateCsiDriverName(opaque.driver, path.child('driver'));
  const at = path.child('parameters');
  const { parameters } = opaque as { parameters?: unknown };
  if (parameters === undefined || parameters === null) return [...wrong, fieldErrors.required(at)];
  if (Buffer.byteLength(JSON.stringify(parameters)) > maxParametersBytes)
    return [...wrong, fieldErrors.tooLong(at, maxParametersBytes)];
  if (typeof parameters === 'object' && !Array.isArray(parameters)) return wrong;
  return [...wrong, fieldErrors.invalid(at, '<value omitted>', 'must be a valid JSON object')];
}

/** Configurations of a device class, or (with references to requests) of a claim. */
export const validateConfigs = (
  configs: readonly DeviceClaimConfiguration[] | undefined,
  path: FieldPath,
  names?: ReadonlySet<string>,
): FieldError[] =>
  validateItems(configs, path, maxConfigs, (config, at) => [
    ...(names ? validateReferences(config.requests, at.child('requests'), names) : []),
    ...validateOpaque(config.opaque, at.child('opaque')),
  ]);

/** A claim's requests, constraints and configurations. */
export function validateDeviceClaim(claim: DeviceClaim | undefined, path: FieldPath): FieldError[] {
  const devices = claim ?? {};
  const names = requestNames(devices);
  return [
    ...validateItems(
      devices.requests,
      path.child('requests'),
      maxRequests,
      validateRequest,
      ({ name }) => name,
    ),
    ...validateItems(devices.constraints, path.child('constraints'), maxConstraints, (one, at) =>
      validateConstraint(one, at, names),
    ),
    ...validateConfigs(devices.config, path.child('config'), names),
  ];
}
