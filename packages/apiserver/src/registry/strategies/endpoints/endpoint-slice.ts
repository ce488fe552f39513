import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Endpoint, EndpointPort, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Strategy } from '../../strategy.ts';
import { ipWarnings, parseIp, validateLegacyIp } from '../../validation/addresses.ts';
import {
  dns1123Label,
  dns1123Subdomain,
  immutable,
  invalidEach,
  oneOf,
  qualifiedName,
  required,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateLabels } from '../../validation/metadata.ts';
import { isLabelValue, isPortNumber, nameIsDnsSubdomain } from '../../validation/names.ts';
import { protocols } from '../pod/validate-container.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateEndpointIp } from './endpoint-ip.ts';

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];
const endpointsPath = FieldPath.of('endpoints');
const portsPath = FieldPath.of('ports');
const maxEndpoints = 1000;
const maxPorts = 20_000;
const maxAddresses = 100;

function validateAddress(address: string, type: string, path: FieldPath): FieldError[] {
  if (type === 'FQDN') return dns1123Subdomain(address, path);
  const wrong = validateLegacyIp(address, path);
  if (wrong.length > 0) return wrong;
  if (parseIp(address)?.family !== type)
    return [fieldErrors.invalid(path, address, `must be an ${type} address`)];
  return validateEndpointIp(address, path);
}

function validateEndpoint(endpoint: Endpoint, type: string, path: FieldPath): FieldError[] {
  const addresses = endpoint.addresses ?? [];
  const at = path.child('addresses');
  const wrong: FieldError[] = [];
  if (addresses.length === 0) wrong.push(fieldErrors.required(at, 'must contain at least 1 address'));
  if (addresses.length > maxAddresses) wrong.push(fieldErrors.tooMany(at, addresses.length, maxAddresses));
  for (const [i, address] of addresses.entries()) wrong.push(...validateAddress(address, type, at.index(i)));
  if (endpoint.nodeName != null) {
    wrong.push(
      ...invalidEach(path.child('nodeName'), endpoint.nodeName, nameIsDnsSubdomain(endpoint.nodeName)),
    );
  }
  const topology = endpoint.deprecatedTopology ?? {};
  wrong.push(...validateLabels(topology, path.child('deprecatedTopology')));
  if (Object.keys(topology).length > 16) {
    wrong.push(fieldErrors.tooMany(path.child('deprecatedTopology'), Object.keys(topology).length, 16));
  }
  if (endpoint.hostname != null) wrong.push(...dns1123Label(endpoint.hostname, path.child('hostname')));
  for (const [i, zone] of (endpoint.hints?.forZones ?? []).entries()) {
    const zonePath = path.child('hints', 'forZones').index(i).child('name');
    wrong.push(
      ...required(zone.name, zonePath),
      ...invalidEach(zonePath, zone.name, isLabelValue(zone.name ?? '')),
    );
  }
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
    wrong.push(...oneOf(port.protocol, protocols, at.child('protocol')));
    if (port.port != null) wrong.push(...invalidEach(at.child('port'), port.port, isPortNumber(port.port)));
    if (port.appProtocol != null) wrong.push(...qualifiedName(port.appProtocol, at.child('appProtocol')));
  }
  return wrong;
}

function validate(slice: EndpointSlice): FieldError[] {
  const endpoints = slice.endpoints ?? [];
  const typePath = FieldPath.of('addressType');
  const wrong = oneOf(slice.addressType, addressTypes, typePath);
  if (endpoints.length > maxEndpoints) {
    return [...wrong, fieldErrors.tooMany(endpointsPath, endpoints.length, maxEndpoints)];
  }
  return [
    ...wrong,
    ...endpoints.flatMap((one, i) => validateEndpoint(one, slice.addressType, endpointsPath.index(i))),
    ...validatePorts(slice.ports ?? []),
  ];
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
  prepareForUpdate: (_context, object, old) => dropTopology(object, old),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...validate(object),
    ...immutable(object.addressType, old.addressType, FieldPath.of('addressType')),
  ],
  warnings: (_context, object) =>
    object.addressType === 'FQDN'
      ? ['addressType: FQDN endpoints are deprecated']
      : (object.endpoints ?? []).flatMap((endpoint, i) =>
          (endpoint.addresses ?? []).flatMap((address, j) =>
            ipWarnings(address, endpointsPath.index(i).child('addresses').index(j)),
          ),
        ),
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
