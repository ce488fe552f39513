import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '@cloudless/kube/types/networking-v1';
import type { Strategy } from '../../strategy.ts';
import { cidrContains, parseCidr, validateLegacyCidr } from '../../validation/addresses.ts';
import { invalidEach, oneOfListed } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { isPortName, isPortNumber } from '../../validation/names.ts';
import { ageColumn, ageOf, selectorCell, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');

function validatePort(port: NetworkPolicyPort, path: FieldPath): FieldError[] {
  const wrong = oneOfListed(port.protocol, ['TCP', 'UDP', 'SCTP'], path.child('protocol'));
  const at = path.child('port');
  const endPath = path.child('endPort');
  const end = port.endPort;
  if (port.port == null) {
    if (end == null) return wrong;
    return [...wrong, fieldErrors.invalid(endPath, end, 'may not be specified when `port` is not specified')];
  }
  if (typeof port.port === 'string') {
    if (end != null) {
      wrong.push(fieldErrors.invalid(endPath, end, 'may not be specified when `port` is non-numeric'));
    }
    return [...wrong, ...invalidEach(at, port.port, isPortName(port.port))];
  }
  wrong.push(...invalidEach(at, port.port, isPortNumber(port.port)));
  if (end == null) return wrong;
  if (end < port.port) {
    wrong.push(fieldErrors.invalid(endPath, port.port, 'must be greater than or equal to `port`'));
  }
  return [...wrong, ...invalidEach(endPath, end, isPortNumber(end))];
}

function validateBlock(block: IPBlock, path: FieldPath): FieldError[] {
  if (!block.cidr) return [fieldErrors.required(path.child('cidr'))];
  const wrong = validateLegacyCidr(block.cidr, path.child('cidr'));
  const cidr = parseCidr(block.cidr);
  if (!cidr) return wrong;
  for (const [i, text] of (block.except ?? []).entries()) {
    const at = path.child('except').index(i);
    wrong.push(...validateLegacyCidr(text, at));
    const except = parseCidr(text);
    if (!except) continue;
    if (!cidrContains(cidr, { family: except.family, value: except.first }) || cidr.length >= except.length) {
      wrong.push(fieldErrors.invalid(at, text, 'must be a strict subset of `cidr`'));
    }
  }
  return wrong;
}

function validatePeer(peer: NetworkPolicyPeer, path: FieldPath): FieldError[] {
  const wrong = [
    ...validateLabelSelector(peer.podSelector, path.child('podSelector')),
    ...validateLabelSelector(peer.namespaceSelector, path.child('namespaceSelector')),
  ];
  if (peer.ipBlock) wrong.push(...validateBlock(peer.ipBlock, path.child('ipBlock')));
  const hasSelector = peer.podSelector != null || peer.namespaceSelector != null;
  if (!hasSelector && !peer.ipBlock) wrong.push(fieldErrors.required(path, 'must specify a peer'));
  else if (hasSelector && peer.ipBlock) {
    wrong.push(fieldErrors.forbidden(path, 'may not specify both ipBlock and another peer'));
  }
  return wrong;
}

function validateRule(
  ports: readonly NetworkPolicyPort[] | undefined,
  peers: readonly NetworkPolicyPeer[] | undefined,
  path: FieldPath,
  peersName: 'from' | 'to',
): FieldError[] {
  return [
    ...(ports ?? []).flatMap((port, i) => validatePort(port, path.child('ports').index(i))),
    ...(peers ?? []).flatMap((peer, i) => validatePeer(peer, path.child(peersName).index(i))),
  ];
}

function validate(policy: NetworkPolicy): FieldError[] {
  const spec = policy.spec ?? {};
  const wrong = validateLabelSelector(spec.podSelector, specPath.child('podSelector'));
  for (const [i, rule] of (spec.ingress ?? []).entries()) {
    wrong.push(...validateRule(rule.ports, rule.from, specPath.child('ingress').index(i), 'from'));
  }
  for (const [i, rule] of (spec.egress ?? []).entries()) {
    wrong.push(...validateRule(rule.ports, rule.to, specPath.child('egress').index(i), 'to'));
  }
  const types = spec.policyTypes ?? [];
  const path = specPath.child('policyTypes');
  if (types.length > 2) {
    return [...wrong, fieldErrors.invalid(path, types, 'may not specify more than two policyTypes')];
  }
  return [...wrong, ...types.flatMap((type, i) => oneOfListed(type, ['Ingress', 'Egress'], path.index(i)))];
}

/** Upstream: pkg/apis/networking, pkg/registry/networking/networkpolicy. */
export const networkPolicy: Strategy<NetworkPolicy> = {
  defaults(object) {
    const spec = (object.spec ??= {} as NonNullable<NetworkPolicy['spec']>);
    spec.podSelector ??= {};
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
    }
    if (!spec.policyTypes?.length)
      spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  table: table<NetworkPolicy>(
    [text('Pod-Selector', 'Pods that the policy is about.'), ageColumn],
    (object, nowMs) => [selectorCell(object.spec?.podSelector), ageOf(object, nowMs)],
  ),
};
