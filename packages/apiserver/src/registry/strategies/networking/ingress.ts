/** Ingress and IngressClass (upstream: pkg/apis/networking/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressClassParametersReference,
  IngressRule,
  IngressTLS,
} from '@cloudless/kube/types/networking-v1';
import type { Strategy } from '../../strategy.ts';
import { parseIp, validateLegacyIp } from '../../validation/addresses.ts';
import { dns1123Subdomain, domainPrefixedPath, immutable, invalidEach } from '../../validation/fields.ts';
import {
  isDns1123Subdomain,
  isPortName,
  isPortNumber,
  isWildcardDns1123Subdomain,
  nameIsDnsLabel,
  nameIsDnsSubdomain,
  nameIsPathSegment,
} from '../../validation/names.ts';
import { ageColumn, ageOf, loadBalancerCell, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');
const classAnnotation = 'kubernetes.io/ingress.class';
const forbiddenSequences = ['//', '/./', '/../', '%2f', '%2F'];

interface ObjectReference {
  apiGroup?: string;
  kind: string;
  name: string;
}

function validateReference(reference: ObjectReference, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (reference.apiGroup != null) wrong.push(...dns1123Subdomain(reference.apiGroup, path.child('apiGroup')));
  for (const name of ['kind', 'name'] as const) {
    const value = reference[name];
    if (!value) wrong.push(fieldErrors.required(path.child(name)));
    else wrong.push(...invalidEach(path.child(name), value, nameIsPathSegment(value)));
  }
  return wrong;
}

function validateBackend(backend: IngressBackend, path: FieldPath): FieldError[] {
  const { resource, service } = backend;
  if (resource && service) {
    return [fieldErrors.invalid(path, '', 'cannot set both resource and service backends')];
  }
  if (resource) return validateReference(resource, path.child('resource'));
  if (!service) return [fieldErrors.invalid(path, '', 'resource or service backend is required')];
  const at = path.child('service', 'name');
  const wrong = service.name
    ? invalidEach(at, service.name, nameIsDnsLabel(service.name))
    : [fieldErrors.required(at)];
  const { name, number } = service.port ?? {};
  if (name && number) wrong.push(fieldErrors.invalid(path, '', 'cannot set both port name & port number'));
  else if (name) wrong.push(...invalidEach(path.child('service', 'port', 'name'), name, isPortName(name)));
  else if (number)
    wrong.push(...invalidEach(path.child('service', 'port', 'number'), number, isPortNumber(number)));
  else wrong.push(fieldErrors.required(path, 'port name or number is required'));
  return wrong;
}

function validatePath(one: HTTPIngressPath, path: FieldPath): FieldError[] {
  if (one.pathType == null)
    return [fieldErrors.required(path.child('pathType'), 'pathType must be specified')];
  const value = one.path ?? '';
  const at = path.child('path');
  const wrong: FieldError[] = [];
  const isAbsolute = value.startsWith('/');
  if (one.pathType === 'Exact' || one.pathType === 'Prefix') {
    if (!isAbsolute) wrong.push(fieldErrors.invalid(at, value, 'must be an absolute path'));
    for (const sequence of forbiddenSequences) {
      if (value.includes(sequence))
        wrong.push(fieldErrors.invalid(at, value, `must not contain '${sequence}'`));
    }
    for (const suffix of ['/..', '/.']) {
      if (value.endsWith(suffix)) wrong.push(fieldErrors.invalid(at, value, `cannot end with '${suffix}'`));
    }
  } else if (one.pathType === 'ImplementationSpecific') {
    if (value !== '' && !isAbsolute) wrong.push(fieldErrors.invalid(at, value, 'must be an absolute path'));
  } else {
    const types = ['Exact', 'ImplementationSpecific', 'Prefix'];
    wrong.push(fieldErrors.notSupported(path.child('pathType'), one.pathType, types));
  }
  return [...wrong, ...validateBackend(one.backend ?? {}, path.child('backend'))];
}

const hostErrors = (host: string): string[] =>
  host.includes('*') ? isWildcardDns1123Subdomain(host) : isDns1123Subdomain(host);

function validateRule(rule: IngressRule, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (rule.host) {
    const at = path.child('host');
    if (parseIp(rule.host))
      wrong.push(fieldErrors.invalid(at, rule.host, 'must be a DNS name, not an IP address'));
    wrong.push(...invalidEach(at, rule.host, hostErrors(rule.host)));
  }
  if (!rule.http) return wrong;
  const paths = path.child('http', 'paths');
  if (!rule.http.paths?.length) wrong.push(fieldErrors.required(paths));
  return [...wrong, ...(rule.http.paths ?? []).flatMap((one, i) => validatePath(one, paths.index(i)))];
}

function validateTls(tls: IngressTLS, path: FieldPath): FieldError[] {
  const wrong = (tls.hosts ?? []).flatMap((host, i) =>
    invalidEach(path.child('hosts').index(i), host, hostErrors(host)),
  );
  if (!tls.secretName) return wrong;
  return [
    ...wrong,
    ...invalidEach(path.child('secretName'), tls.secretName, nameIsDnsSubdomain(tls.secretName)),
  ];
}

function validate(ingress: Ingress): FieldError[] {
  const spec = ingress.spec ?? {};
  const rules = spec.rules ?? [];
  const wrong: FieldError[] = [];
  if (rules.length === 0 && !spec.defaultBackend) {
    wrong.push(
      fieldErrors.invalid(specPath, spec.rules, 'either `defaultBackend` or `rules` must be specified'),
    );
  }
  if (spec.defaultBackend)
    wrong.push(...validateBackend(spec.defaultBackend, specPath.child('defaultBackend')));
  for (const [i, rule] of rules.entries())
    wrong.push(...validateRule(rule, specPath.child('rules').index(i)));
  for (const [i, tls] of (spec.tls ?? []).entries())
    wrong.push(...validateTls(tls, specPath.child('tls').index(i)));
  if (spec.ingressClassName != null) {
    const at = specPath.child('ingressClassName');
    wrong.push(...invalidEach(at, spec.ingressClassName, nameIsDnsSubdomain(spec.ingressClassName)));
  }
  return wrong;
}

function validateCreate(ingress: Ingress): FieldError[] {
  const wrong = validate(ingress);
  const annotation = ingress.metadata.annotations?.[classAnnotation];
  const name = ingress.spec?.ingressClassName;
  if (annotation !== undefined && name != null && annotation !== name) {
    const at = FieldPath.of('annotations').child(classAnnotation);
    const why = 'must match `ingressClassName` when both are specified';
    wrong.push(fieldErrors.invalid(at, annotation, why));
  }
  return wrong;
}

function validateStatus(ingress: Ingress): FieldError[] {
  const path = FieldPath.of('status', 'loadBalancer', 'ingress');
  return (ingress.status?.loadBalancer?.ingress ?? []).flatMap((point, i) => {
    const wrong = point.ip ? validateLegacyIp(point.ip, path.index(i).child('ip')) : [];
    if (!point.hostname) return wrong;
    const at = path.index(i).child('hostname');
    wrong.push(...dns1123Subdomain(point.hostname, at));
    if (parseIp(point.hostname)) {
      wrong.push(fieldErrors.invalid(at, point.hostname, 'must be a DNS name, not an IP address'));
    }
    return wrong;
  });
}

function hostsCell(rules: readonly IngressRule[]): string {
  const hosts = rules
    .slice(0, 3)
    .map((rule) => rule.host ?? '')
    .filter((host) => host !== '');
  if (hosts.length === 0) return '*';
  return rules.length > 3 && hosts.length === 3
    ? `${hosts.join(',')} + ${rules.length - 3} more...`
    : hosts.join(',');
}

export const ingress: Strategy<Ingress> = {
  validate: (_context, object) => validateCreate(object),
  validateUpdate: (_context, object) => validate(object),
  validateStatusUpdate: (_context, object) => validateStatus(object),
  warnings: (_context, object, old) =>
    object.metadata.annotations?.[classAnnotation] !== undefined && !old
      ? [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`]
      : [],
  table: table<Ingress>(
    [
      text('Class', 'Which controller serves it.'),
      text('Hosts', 'Hosts of its rules.'),
      text('Address', 'Where it is reached.'),
      text('Ports', 'Ports that are open.'),
      ageColumn,
    ],
    (object, nowMs) => [
      object.spec?.ingressClassName ?? '<none>',
      hostsCell(object.spec?.rules ?? []),
      loadBalancerCell(object.status?.loadBalancer),
      object.spec?.tls?.length ? '80, 443' : '80',
      ageOf(object, nowMs),
    ],
  ),
};

function validateController(controller: string): FieldError[] {
  const path = specPath.child('controller');
  const wrong: FieldError[] = [];
  if (controller.length > 250) wrong.push(fieldErrors.tooLong(path, 250));
  wrong.push(...domainPrefixedPath(controller, path));
  return wrong;
}

function validateParameters(parameters: IngressClassParametersReference | undefined): FieldError[] {
  if (!parameters) return [];
  const path = specPath.child('parameters');
  const wrong = validateReference(parameters, path);
  const at = path.child('namespace');
  if (parameters.scope == null) return [...wrong, fieldErrors.required(path.child('scope'))];
  if (parameters.scope === 'Namespace') {
    if (parameters.namespace == null) {
      wrong.push(fieldErrors.required(at, "`parameters.scope` is set to 'Namespace'"));
    } else wrong.push(...invalidEach(at, parameters.namespace, nameIsDnsLabel(parameters.namespace)));
  } else if (parameters.scope === 'Cluster') {
    if (parameters.namespace != null) {
      wrong.push(fieldErrors.forbidden(at, "`parameters.scope` is set to 'Cluster'"));
    }
  } else
    wrong.push(fieldErrors.notSupported(path.child('scope'), parameters.scope, ['Cluster', 'Namespace']));
  return wrong;
}

const validateClass = (object: IngressClass): FieldError[] => [
  ...validateController(object.spec?.controller ?? ''),
  ...validateParameters(object.spec?.parameters),
];

function parametersCell(parameters: IngressClassParametersReference | undefined): string {
  if (!parameters) return '<none>';
  const kind = parameters.apiGroup != null ? `${parameters.kind}.${parameters.apiGroup}` : parameters.kind;
  return `${kind}/${parameters.name}`;
}

export const ingressClass: Strategy<IngressClass> = {
  defaults(object) {
    if (object.spec?.parameters) object.spec.parameters.scope ??= 'Cluster';
  },
  validate: (_context, object) => validateClass(object),
  validateUpdate: (_context, object, old) => [
    ...immutable(object.spec?.controller ?? '', old.spec?.controller, specPath.child('controller')),
    ...validateClass(object),
  ],
  table: table<IngressClass>(
    [text('Controller', 'Who serves the class.'), text('Parameters', 'What configures it.'), ageColumn],
    (object, nowMs) => [
      object.spec?.controller ?? '',
      parametersCell(object.spec?.parameters),
      ageOf(object, nowMs),
    ],
  ),
};
