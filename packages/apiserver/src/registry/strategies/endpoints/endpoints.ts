import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { validateLegacyIp } from '../../validation/addresses.ts';
import {
  dns1123Label,
  invalidEach,
  oneOf,
  qualifiedName,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { isPortNumber, nameIsDnsSubdomain } from '../../validation/names.ts';
import { protocols } from '../pod/validate-container.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateEndpointIp } from './endpoint-ip.ts';

function validateAddress(address: EndpointAddress, path: FieldPath): FieldError[] {
  const wrong = validateLegacyIp(address.ip ?? '', path.child('ip'));
  if (address.hostname) wrong.push(...dns1123Label(address.hostname, path.child('hostname')));
  if (address.nodeName != null) {
    wrong.push(
      ...invalidEach(path.child('nodeName'), address.nodeName, nameIsDnsSubdomain(address.nodeName)),
    );
  }
  // Loopback and link-local addresses would let traffic to the node's own services through.
  return [...wrong, ...validateEndpointIp(address.ip ?? '', path.child('ip'))];
}

function validatePort(port: EndpointPort, needsName: boolean, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (port.name) wrong.push(...dns1123Label(port.name, path.child('name')));
  else if (needsName) wrong.push(fieldErrors.required(path.child('name')));
  wrong.push(
    ...invalidEach(path.child('port'), port.port ?? 0, isPortNumber(port.port ?? 0)),
    ...oneOf(port.protocol, protocols, path.child('protocol')),
  );
  if (port.appProtocol != null) wrong.push(...qualifiedName(port.appProtocol, path.child('appProtocol')));
  return wrong;
}

function validateSubset(subset: EndpointSubset, path: FieldPath): FieldError[] {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
  const wrong: FieldError[] = [];
  if (addresses.length === 0 && notReadyAddresses.length === 0) {
    wrong.push(fieldErrors.required(path, 'must specify `addresses` or `notReadyAddresses`'));
  }
  return [
    ...wrong,
    ...addresses.flatMap((one, i) => validateAddress(one, path.child('addresses').index(i))),
    ...notReadyAddresses.flatMap((one, i) => validateAddress(one, path.child('notReadyAddresses').index(i))),
    ...ports.flatMap((port, i) => validatePort(port, ports.length > 1, path.child('ports').index(i))),
  ];
}

const validate = (endpoints: Endpoints): FieldError[] =>
  (endpoints.subsets ?? []).flatMap((subset, i) => validateSubset(subset, FieldPath.of('subsets').index(i)));

const hostPort = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;

function endpointsCell(endpoints: Endpoints): string {
  if (!endpoints.subsets?.length) return '<none>';
  const all: string[] = [];
  for (const { addresses = [], ports } of endpoints.subsets) {
    if (!ports?.length) all.push(...addresses.map(({ ip }) => ip));
    for (const { port } of ports ?? []) all.push(...addresses.map(({ ip }) => hostPort(ip, port)));
  }
  const shown = all.slice(0, 3).join(',');
  return all.length > 3 ? `${shown} + ${all.length - 3} more...` : shown;
}

/** Upstream: pkg/registry/core/endpoint. */
export const endpoints: Strategy<Endpoints> = {
  defaults(object) {
    for (const subset of object.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) =>
    semanticallyEqual(object.subsets, old.subsets) ? [] : validate(object),
  table: table<Endpoints>([text('Endpoints', 'Addresses that are ready.'), ageColumn], (object, nowMs) => [
    endpointsCell(object),
    ageOf(object, nowMs),
  ]),
};
