import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Endpoint, EndpointPort, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Strategy } from '../../strategy.ts';
import { ipWarnings, parseIp, validateIp, validateLegacyIp } from '../../validation/addresses.ts';
import {
  dns1123Label,
  immutable,
  invalidEach,
  oneOf,
  qualifiedName,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateLabels } from '../../validation/metadata.ts';
import {
  isDns1123Label,
  isDns1123Subdomain,
  isLabelValue,
  nameIsDnsSubdomain,
} from '../../validation/names.ts';
import { protocols } from '../pod/validate-container.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateEndpointIp } from './endpoint-ip.ts';

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];
const endpointsPath = FieldPath.of('endpoints');
const portsPath = FieldPath.of('ports');
const maxEndpoints = 1000;
const maxPorts = 20_000;
const maxAddresses = 100;
const maxHints = 8;

/** A domain of two labels at least; a dot at its end is fine (IsFullyQualifiedDomainName). */
function validateDomain(text: string, path: FieldPath): FieldError[] {
  if (text === '') return [fieldErrors.required(path)];
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  const wrong = isDns1123Subdomain(name);
  if (wrong.length > 0) return [fieldErrors.invalid(path, name, wrong.join(','))];
  const labels = name.split('.');
  if (labels.length < 2) {
    const why = 'should be a domain with at least two segments separated by dots';
    return [fieldErrors.invalid(path, name, why)];
  }
  const label = labels.find((one) => isDns1123Label(one).length > 0);
  if (label === undefined) return [];
  return [fieldErrors.invalid(path, label, isDns1123Label(label).join(','))];
}

/** Addresses of a type that is not known are not looked at. */
function validateAddress(address: string, type: string, path: FieldPath, list: FieldPath): FieldError[] {
  if (type === 'FQDN') return validateDomain(address, path);
  if (type !== 'IPv4' && type !== 'IPv6') return [];
  const wrong = (type === 'IPv6' ? validateIp : validateLegacyIp)(address, path);
  if (wrong.length > 0) return wrong;
  const isOther = parseIp(address)?.family !== type;
  return [
    ...(isOther ? [fieldErrors.invalid(list, address, `must be an ${type} address`)] : []),
    ...validateEndpointIp(address, path),
  ];
}

/** Names of zones or nodes: not too many, each once, each as `rule` wants it. */
function validateHints(
  hints: ReadonlyArray<{ name: string }> | undefined,
  path: FieldPath,
  rule: (name: string) => string[],
): FieldError[] {
  const all = hints ?? [];
  if (all.length > maxHints) return [fieldErrors.tooMany(path, all.length, maxHints)];
  const seen = new Set<string>();
  return all.flatMap(({ name }, i) => {
    const at = path.index(i).child('name');
    const isAgain = seen.has(name);
    seen.add(name);
    return [...(isAgain ? [fieldErrors.duplicate(at, name)] : []), ...invalidEach(at, name, rule(name))];
  });
}

function validateEndpoint(endpoint: Endpoint, type: string, path: FieldPath): FieldError[] {
  const addresses = endpoint.addresses ?? [];
  const at = path.child('addresses');
  const wrong: FieldError[] = [];
  if (addresses.length === 0) wrong.push(fieldErrors.required(at, 'must contain at least 1 address'));
  if (addresses.length > maxAddresses) wrong.push(fieldErrors.tooMany(at, addresses.length, maxAddresses));
  for (const [i, address] of addresses.entries())
    wrong.push(...validateAddress(address, type, at.index(i), at));
  if (endpoint.nodeName != null) {
    wrong.push(
      ...invalidEach(path.child('nodeName'), endpoint.nodeName, nameIsDnsSubdomain(endpoint.nodeName)),
    );
  }
  const topology = endpoint.deprecatedTopology ?? {};
  if (Object.keys(topology).length > 16) {
    wrong.push(fieldErrors.tooMany(path.child('deprecatedTopology'), Object.keys(topology).length, 16));
  }
  wrong.push(...validateLabels(topology, path.child('deprecatedTopology')));
  if (endpoint.hostname != null) wrong.push(...dns1123Label(endpoint.hostname, path.child('hostname')));
  const { forZones, forNodes } = endpoint.hints ?? {};
  const zones = validateHints(forZones, path.child('hints', 'forZones'), isLabelValue);
  wrong.push(...zones);
  if ((forZones?.length ?? 0) <= maxHints)
    wrong.push(...validateHints(forNodes, path.child('hints', 'forNodes'), nameIsDnsSubdomain));
  return wrong;
}

function validatePorts(ports: readonly EndpointPort[]): FieldError[] {
  const wrong: FieldError[] = [];
  const names = new Set<string>();
  if (ports.length > maxPorts) return [fieldErrors.tooMany(portsPath, ports.length, maxPorts)];
  for (const [i, port] of ports.entries()) {
    const at = portsPath.index(i);
    const name = port.name ?? '';
    if (name !== '') wrong.push(...dns1123Label(name, at.child('name')));
    if (names.has(name)) wrong.push(fieldErrors.duplicate(at.child('name'), name));
    names.add(name);
    if (port.protocol == null) wrong.push(fieldErrors.required(at.child('protocol')));
    else if (!protocols.includes(port.protocol))
      wrong.push(fieldErrors.notSupported(at.child('protocol'), port.protocol, protocols));
    if (port.appProtocol != null) wrong.push(...qualifiedName(port.appProtocol, at.child('appProtocol')));
  }
  return wrong;
}

function validateEndpoints({ endpoints = [], addressType }: EndpointSlice): FieldError[] {
  if (endpoints.length > maxEndpoints)
    return [fieldErrors.tooMany(endpointsPath, endpoints.length, maxEndpoints)];
  return endpoints.flatMap((one, i) => validateEndpoint(one, addressType, endpointsPath.index(i)));
}

/** Endpoints that an update leaves alone may be wrong: older servers took them. */
function validate(slice: EndpointSlice, old?: EndpointSlice): FieldError[] {
  const ofEndpoints = validateEndpoints(slice);
  const isUnchanged =
    ofEndpoints.length > 0 && old !== undefined && semanticallyEqual(old.endpoints, slice.endpoints);
  return [
    ...oneOf(slice.addressType, addressTypes, FieldPath.of('addressType')),
    ...validatePorts(slice.ports ?? []),
    ...(isUnchanged ? [] : ofEndpoints),
  ];
}

/** Labels count as well, and so does topology that is dropped afterwards. */
function countChange(slice: EndpointSlice, old: EndpointSlice): void {
  const { metadata: now, ...after } = slice;
  const { metadata: was, ...before } = old;
  if (semanticallyEqual(after, before) && semanticallyEqual(now.labels ?? {}, was.labels ?? {})) return;
  now.generation = (was.generation ?? 0) + 1;
}

const ownControllers = new Set([
  'endpointslice-controller.k8s.io',
  'endpointslicemirroring-controller.k8s.io',
]);

/** Controllers of the cluster write good addresses: their many slices are not looked through. */
function addressWarnings({ metadata, endpoints }: EndpointSlice): string[] {
  if (ownControllers.has(metadata.labels?.['endpointslice.kubernetes.io/managed-by'] ?? '')) return [];
  return (endpoints ?? []).flatMap((endpoint, i) =>
    (endpoint.addresses ?? []).flatMap((address, j) =>
      ipWarnings(address, endpointsPath.index(i).child('addresses').index(j)),
    ),
  );
}

function listOr(list: readonly string[]): string {
  const shown = list.slice(0, 3).join(',');
  if (list.length > 3) return `${shown} + ${list.length - 3} more...`;
  return shown === '' ? '<unset>' : shown;
}

const portText = (port: EndpointPort): string => (port.port != null ? String(port.port) : (port.name ?? '*'));

/** v1 does not set `deprecatedTopology`; a node that only it named moves to `nodeName` (dropTopologyOnV1). */
function dropTopology(slice: EndpointSlice, old: EndpointSlice | undefined): void {
  if (old && semanticallyEqual(slice.endpoints, old.endpoints)) return;
  const hostname = 'kubernetes.io/hostname';
  const before = new Set((old?.endpoints ?? []).map((one) => one.deprecatedTopology?.[hostname]));
  for (const endpoint of slice.endpoints ?? []) {
    const node = endpoint.deprecatedTopology?.[hostname];
    if (endpoint.nodeName == null && node && before.has(node) && nameIsDnsSubdomain(node).length === 0)
      endpoint.nodeName = node;
    delete endpoint.deprecatedTopology;
  }
}

/** Upstream: pkg/apis/discovery/validation, pkg/registry/discovery/endpointslice. */
export const endpointSlice: Strategy<EndpointSlice> = {
  defaults(object) {
    for (const port of object.ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  prepareForCreate: (_context, object) => dropTopology(object, undefined),
  prepareForUpdate(_context, object, old) {
    countChange(object, old);
    dropTopology(object, old);
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...validate(object, old),
    ...immutable(object.addressType, old.addressType, FieldPath.of('addressType')),
  ],
  warnings: (_context, object, old) => [
    ...(object.addressType === 'FQDN' && !old ? ['spec.addressType: FQDN endpoints are deprecated'] : []),
    ...addressWarnings(object),
  ],
  table: table<EndpointSlice>(
    [
      text('AddressType', 'Family of the addresses.'),
      text('Ports', 'Ports of every endpoint.'),
      text('Endpoints', 'Addresses.'),
      ageColumn,
    ],
    (object, nowMs) => [
      object.addressType,
      listOr((object.ports ?? []).map(portText)),
      listOr((object.endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])),
      ageOf(object, nowMs),
    ],
  ),
};
