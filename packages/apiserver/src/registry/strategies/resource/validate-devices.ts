/** Requests for devices (upstream: pkg/apis/resource/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  DeviceClaim,
  DeviceClaimConfiguration,
  DeviceConstraint,
  DeviceRequest,
  DeviceSubRequest,
  DeviceToleration,
  OpaqueDeviceConfiguration,
} from '@cloudless/kube/types/resource-v1';
import { dns1123Label, dns1123Subdomain, invalidEach } from '../../validation/fields.ts';
import { validateLabelName } from '../../validation/metadata.ts';
import { isLabelValue } from '../../validation/names.ts';
import { validateCsiDriverName } from '../pod/validate-remote-volumes.ts';
import { validateFullName, validateItems } from './names.ts';
import { validateSelectors } from './selectors.ts';
import { taintEffects } from './taints.ts';

const maxRequests = 32;
const maxConstraints = 32;
export const maxConfigs = 32;
const maxAlternatives = 8;
const maxParametersBytes = 10 * 1024;
const allocationModes = ['All', 'ExactCount'];
const referenceText =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

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
  if (effect && !taintEffects.includes(effect))
    wrong.push(fieldErrors.notSupported(path.child('effect'), effect, taintEffects));
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
export const requestNames = (claim: DeviceClaim): ReadonlySet<string> =>
  new Set(
    (claim.requests ?? []).flatMap(({ name, firstAvailable = [] }) => [
      name,
      ...firstAvailable.map((one) => `${name}/${one.name ?? ''}`),
    ]),
  );

export function validateReference(name: string, path: FieldPath, names: ReadonlySet<string>): FieldError[] {
  const segments = name.split('/');
  if (segments.length > 2) return [fieldErrors.invalid(path, name, referenceText)];
  const wrong = segments.flatMap((segment) => dns1123Label(segment, path));
  return names.has(name) ? wrong : [...wrong, fieldErrors.invalid(path, name, referenceText)];
}

export const validateReferences = (
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

function validateConstraint(
  constraint: DeviceConstraint,
  path: FieldPath,
  names: ReadonlySet<string>,
): FieldError[] {
  const wrong = validateReferences(constraint.requests, path.child('requests'), names);
  const { matchAttribute: match, distinctAttribute: distinct } = constraint;
  if (match != null) wrong.push(...validateFullName(match, path.child('matchAttribute')));
  else if (distinct != null) wrong.push(...validateFullName(distinct, path.child('distinctAttribute')));
  else {
    const why =
      'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
    wrong.push(fieldErrors.required(path, why));
  }
  return wrong;
}

/** What a driver says: a JSON object of a limited size. */
export function validateJsonObject(value: unknown, path: FieldPath): FieldError[] {
  if (value === undefined || value === null) return [fieldErrors.required(path)];
  if (Buffer.byteLength(JSON.stringify(value)) > maxParametersBytes)
    return [fieldErrors.tooLong(path, maxParametersBytes)];
  if (typeof value === 'object' && !Array.isArray(value)) return [];
  return [fieldErrors.invalid(path, '<value omitted>', 'must be a valid JSON object')];
}

/** Parameters of a driver. */
export function validateOpaque(opaque: OpaqueDeviceConfiguration | undefined, path: FieldPath): FieldError[] {
  if (!opaque) return [fieldErrors.required(path)];
  return [
    ...validateCsiDriverName(opaque.driver, path.child('driver')),
    ...validateJsonObject(opaque.parameters, path.child('parameters')),
  ];
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
