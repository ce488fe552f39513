/** What is allowed but probably not meant (upstream: pkg/api/pod/warnings.go). */
import { FieldPath } from '@cloudless/kube/field';
import type {
  ContainerPort,
  NodeSelectorTerm,
  Pod,
  PodAffinityTerm,
  PodSpec,
  PodTemplateSpec,
  Volume,
} from '@cloudless/kube/types/core-v1';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import { ipWarnings } from '../../validation/addresses.ts';
import { semanticallyEqual } from '../../validation/fields.ts';
import { formatQuantity, isWhole } from '../../validation/quantities.ts';
import { containersOf } from './containers.ts';
import { overlapWarnings } from './overlapping-paths.ts';

const shown = (value: string): string => JSON.stringify(value);

/** Labels of nodes that have a newer name. */
const deprecatedNodeLabels: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region':
    'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone':
    'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type':
    'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

const deprecatedAnnotations: Readonly<Record<string, string>> = {
  'scheduler.alpha.kubernetes.io/critical-pod':
    'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
};

const deprecatedVolumes: Readonly<Partial<Record<keyof Volume, string>>> = {
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
};

/** Deprecated labels in terms of a node selector at `path`. */
export function nodeSelectorWarnings(
  terms: readonly NodeSelectorTerm[] | undefined,
  path: FieldPath,
): string[] {
  const warnings: string[] = [];
  for (const [i, term] of (terms ?? []).entries()) {
    for (const [j, requirement] of (term.matchExpressions ?? []).entries()) {
      const text = deprecatedNodeLabels[requirement.key];
      const key = path.index(i).child('matchExpressions').index(j).child('key');
      if (text) warnings.push(`${key.toString()}: ${requirement.key} is ${text}`);
    }
  }
  return warnings;
}

/** Amounts in `list` of these names that are not whole bytes. */
export function fractionsIn(
  list: Readonly<Record<string, string | number>> | undefined,
  names: readonly string[],
  path: FieldPath,
): string[] {
  return names.flatMap((name) => {
    const quantity = list?.[name];
    if (quantity === undefined || isWhole(quantity)) return [];
    const text = `fractional byte value ${shown(formatQuantity(quantity))} is invalid, must be an integer`;
    return [`${path.key(name).toString()}: ${text}`];
  });
}

function nodeLabelWarnings(spec: PodSpec, path: FieldPath): string[] {
  const warnings: string[] = [];
  for (const key in spec.nodeSelector) {
    const text = deprecatedNodeLabels[key];
    if (text) warnings.push(`${path.child('nodeSelector').key(key).toString()}: ${text}`);
  }
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const at = path
    .child('affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution')
    .child('nodeSelectorTerms');
  return [...warnings, ...nodeSelectorWarnings(required?.nodeSelectorTerms, at)];
}

function selectorWarnings(spec: PodSpec, path: FieldPath): string[] {
  const nullText = 'a null labelSelector results in matching no pod';
  const warnings: string[] = [];
  for (const [i, constraint] of (spec.topologySpreadConstraints ?? []).entries()) {
    const at = path.child('topologySpreadConstraints').index(i);
    const text = deprecatedNodeLabels[constraint.topologyKey];
    if (text) warnings.push(`${at.child('topologyKey').toString()}: ${constraint.topologyKey} is ${text}`);
    if (!constraint.labelSelector) warnings.push(`${at.child('labelSelector').toString()}: ${nullText}`);
  }
  const check = (term: PodAffinityTerm | undefined, at: FieldPath): void => {
    if (!term?.labelSelector) warnings.push(`${at.child('labelSelector').toString()}: ${nullText}`);
  };
  for (const name of ['podAffinity', 'podAntiAffinity'] as const) {
    const affinity = spec.affinity?.[name];
    const at = path.child('affinity', name);
    affinity?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) =>
      check(term, at.child('requiredDuringSchedulingIgnoredDuringExecution').index(i)),
    );
    affinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) =>
      check(
        term.podAffinityTerm,
        at.child('preferredDuringSchedulingIgnoredDuringExecution').index(i).child('podAffinityTerm'),
      ),
    );
  }
  return warnings;
}

function duplicates(values: readonly string[], noun: string, at: (i: number) => FieldPath): string[] {
  return values.flatMap((value, i) =>
    values.indexOf(value) < i ? [`${at(i).toString()}: duplicate ${noun} ${shown(value)}`] : [],
  );
}

function fractionWarnings(spec: PodSpec, path: FieldPath): string[] {
  const warnings: string[] = [];
  const names = ['memory', 'ephemeral-storage'];
  const check = (list: Readonly<Record<string, string | number>> | undefined, at: FieldPath): void =>
    void warnings.push(...fractionsIn(list, names, at));
  check(spec.overhead, path.child('overhead'));
  for (const [container, at] of containersOf(spec, path)) {
    check(container.resources?.limits, at.child('resources', 'limits'));
    check(container.resources?.requests, at.child('resources', 'requests'));
  }
  return warnings;
}

function environmentWarnings(spec: PodSpec, path: FieldPath): string[] {
  const warnings: string[] = [];
  for (const [container, at] of containersOf(spec, path)) {
    const seen = new Set<string>();
    container.env?.forEach((variable, i) => {
      const reference = `$(${variable.name})`;
      const extends_ =
        !variable.valueFrom && variable.value !== reference && variable.value?.includes(reference);
      if (seen.has(variable.name) && !extends_) {
        const text = `hides previous definition of ${shown(variable.name)}, which may be dropped when using apply`;
        warnings.push(`${at.child('env').index(i).toString()}: ${text}`);
      }
      seen.add(variable.name);
    });
  }
  return warnings;
}

function portWarnings(spec: PodSpec, path: FieldPath): string[] {
  const warnings: string[] = [];
  const blocks = new Map<string, Array<{ at: FieldPath; port: ContainerPort }>>();
  const names = new Map<string, FieldPath>();
  for (const [container, containerPath] of containersOf(spec, path)) {
    for (const [i, port] of (container.ports ?? []).entries()) {
      const at = containerPath.child('ports').index(i);
      const key = `${port.containerPort}/${port.protocol}`;
      const others = blocks.get(key) ?? [];
      for (const other of others) {
        const hostPort = port.hostPort ?? 0;
        const otherPort = other.port.hostPort ?? 0;
        const hostIp = port.hostIP ?? '';
        const otherIp = other.port.hostIP ?? '';
        if (hostIp === otherIp && hostPort === otherPort) {
          warnings.push(`${at.toString()}: duplicate port definition with ${other.at.toString()}`);
        } else if (hostPort === 0 || otherPort === 0) {
          warnings.push(`${at.toString()}: overlapping port definition with ${other.at.toString()}`);
        } else if (hostPort === otherPort && (hostIp === '') !== (otherIp === '')) {
          warnings.push(
            `${at.toString()}: dangerously ambiguous port definition with ${other.at.toString()}`,
          );
        }
      }
      blocks.set(key, [...others, { at, port }]);
      if (!port.name) continue;
      const first = names.get(port.name);
      if (first) {
        const text = `services and probes that select ports by name will use ${first.toString()}`;
        warnings.push(
          `${at.toString()}: duplicate port name ${shown(port.name)} with ${first.toString()}, ${text}`,
        );
      } else names.set(port.name, at);
    }
  }
  return warnings;
}

function warningsOf(spec: PodSpec, metadata: ObjectMeta | undefined, root: FieldPath): string[] {
  const path = root.child('spec');
  const warnings = [...nodeLabelWarnings(spec, path), ...selectorWarnings(spec, path)];
  for (const key in deprecatedAnnotations) {
    if (metadata?.annotations?.[key] === undefined) continue;
    warnings.push(
      `${root.child('metadata', 'annotations').key(key).toString()}: ${deprecatedAnnotations[key]}`,
    );
  }
  for (const [i, volume] of (spec.volumes ?? []).entries()) {
    for (const name of Object.keys(deprecatedVolumes) as Array<keyof Volume>) {
      if (volume[name] == null) continue;
      warnings.push(`${path.child('volumes').index(i).child(name).toString()}: ${deprecatedVolumes[name]}`);
    }
  }
  warnings.push(...overlapWarnings(spec.volumes));
  const aliases = spec.hostAliases ?? [];
  const aliasPath = (i: number): FieldPath => path.child('hostAliases').index(i).child('ip');
  const secrets = (spec.imagePullSecrets ?? []).map((secret) => secret.name ?? '');
  const secretPath = (i: number): FieldPath => path.child('imagePullSecrets').index(i).child('name');
  warnings.push(
    ...duplicates(
      aliases.map((alias) => alias.ip),
      'ip',
      aliasPath,
    ),
    ...duplicates(secrets, 'name', secretPath),
    ...secrets.flatMap((name, i) =>
      name === '' ? [`${secretPath(i).toString()}: invalid empty name ""`] : [],
    ),
    ...fractionWarnings(spec, path),
    ...environmentWarnings(spec, path),
    ...portWarnings(spec, path),
  );
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    const text = 'must be >= 0; negative values are invalid and will be treated as 1';
    warnings.push(`${path.child('terminationGracePeriodSeconds').toString()}: ${text}`);
  }
  const servers = path.child('dnsConfig', 'nameservers');
  for (const [i, server] of (spec.dnsConfig?.nameservers ?? []).entries()) {
    warnings.push(...ipWarnings(server, servers.index(i)));
  }
  for (const [i, alias] of aliases.entries()) warnings.push(...ipWarnings(alias.ip, aliasPath(i)));
  return warnings;
}

export const podWarnings = (pod: Pod): string[] =>
  pod.spec ? warningsOf(pod.spec, pod.metadata, FieldPath.of()) : [];

/** Warnings of a template at `path`; none when it did not change. */
export function templateWarnings(
  template: PodTemplateSpec | undefined,
  old: PodTemplateSpec | undefined,
  path: FieldPath,
): string[] {
  if (!template?.spec || (old && semanticallyEqual(template, old))) return [];
  return warningsOf(template.spec, template.metadata, path);
}
