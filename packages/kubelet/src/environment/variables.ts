import type {
  ConfigMap,
  Container,
  EnvFromSource,
  EnvVarSource,
  EphemeralContainer,
  Pod,
  Secret,
  Service,
} from '@cloudless/kube/types/core-v1';
import type { Amounts } from '../resources/amounts.ts';
import { type DownwardAddresses, fieldValue, resourceValue } from './downward.ts';
import { expand } from './expand.ts';
import { serviceVariables, visibleServices } from './service-links.ts';

/** A container's definition cannot be turned into a configuration: status CreateContainerConfigError. */
export class ConfigError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ConfigError';
  }
}

/** Objects that a pod refers to; undefined means it does not exist. Throws when that cannot be told. */
export interface ReferencedObjects {
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string): Promise<Secret | undefined>;
}

export interface EnvironmentInput {
  pod: Pod;
  container: Container | EphemeralContainer;
  objects: ReferencedObjects;
  services: Iterable<Service>;
  addresses: DownwardAddresses;
  allocatable: Amounts;
}

/**
 * The environment of a container (upstream: kubelet_pods.go makeEnvironmentVariables): envFrom, then env with
 * `$(NAME)` expanded from what stands before it, then Services' variables where nothing else has the name.
 */
export async function environmentOf(input: EnvironmentInput): Promise<Map<string, string>> {
  const { pod, container } = input;
  const namespace = pod.metadata.namespace ?? '';
  const links = serviceVariables(
    visibleServices(input.services, namespace, pod.spec?.enableServiceLinks !== false),
  );
  const result = new Map<string, string>();
  for (const from of container.envFrom ?? []) await addAll(input, from, result);
  for (const variable of container.env ?? []) {
    if (variable.value !== undefined && variable.value !== '') {
      const lookup = (name: string): string | undefined => result.get(name) ?? links.get(name);
      result.set(variable.name, expand(variable.value, lookup));
    } else if (variable.valueFrom) {
      const value = await sourced(input, variable.name, variable.valueFrom);
      if (value !== undefined) result.set(variable.name, value);
    } else {
      result.set(variable.name, '');
    }
  }
  for (const [name, value] of links) if (!result.has(name)) result.set(name, value);
  return result;
}

/** Relaxed names of Kubernetes 1.34: printable ASCII without `=`. */
const acceptableName = /^[\x20-\x3c\x3e-\x7e]+$/;

async function addAll(
  input: EnvironmentInput,
  from: EnvFromSource,
  result: Map<string, string>,
): Promise<void> {
  const namespace = input.pod.metadata.namespace ?? '';
  const prefix = from.prefix ?? '';
  const put = (key: string, value: string): void => {
    if (acceptableName.test(prefix + key)) result.set(prefix + key, value);
  };
  if (from.configMapRef) {
    const name = from.configMapRef.name ?? '';
    const map = await input.objects.configMap(namespace, name);
    if (!map && from.configMapRef.optional !== true) throw new ConfigError(`configmap "${name}" not found`);
    for (const [key, value] of Object.entries(map?.data ?? {})) put(key, value);
  }
  if (from.secretRef) {
    const name = from.secretRef.name ?? '';
    const secret = await input.objects.secret(namespace, name);
    if (!secret && from.secretRef.optional !== true) throw new ConfigError(`secret "${name}" not found`);
    for (const [key, value] of Object.entries(secret?.data ?? {})) put(key, decoded(value));
  }
}

const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

/** Undefined for an optional source that does not exist. */
async function sourced(
  input: EnvironmentInput,
  variable: string,
  from: EnvVarSource,
): Promise<string | undefined> {
  const namespace = input.pod.metadata.namespace ?? '';
  if (from.fieldRef) return fieldValue(input.pod, from.fieldRef.fieldPath, input.addresses);
  if (from.resourceFieldRef) {
    return resourceValue(input.pod, input.container, from.resourceFieldRef, input.allocatable);
  }
  if (from.configMapKeyRef) {
    const { name = '', key, optional } = from.configMapKeyRef;
    const map = await input.objects.configMap(namespace, name);
    const value = map?.data?.[key];
    if (value !== undefined || optional) return value;
    if (!map) throw new ConfigError(`configmap "${name}" not found`);
    throw new ConfigError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
  }
  if (from.secretKeyRef) {
    const { name = '', key, optional } = from.secretKeyRef;
    const secret = await input.objects.secret(namespace, name);
    const value = secret?.data?.[key];
    if (value !== undefined) return decoded(value);
    if (optional) return undefined;
    if (!secret) throw new ConfigError(`secret "${name}" not found`);
    throw new ConfigError(`couldn't find key ${key} in Secret ${namespace}/${name}`);
  }
  throw new ConfigError(
    `environment variable ${variable} has a source that this kubelet does not support (${Object.keys(from).join(', ')})`,
  );
}
