import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { Service, ServicePort } from '@cloudless/kube/types/core-v1';
import { valuesConfigMap } from '../external/await-configuration.ts';
import { valuesField } from './cluster-config.ts';
import { engineKeyField, type ParsedValues } from './parse.ts';
import { withoutSecrets } from './plain-secrets.ts';
import type { ServiceValues } from './service.ts';
import { tsigKeysSecret } from './tsig-keys.ts';

/** One object to apply, in the order in which they are given. */
export interface ValuesObject {
  readonly resource: Resource;
  readonly object: KubeObject;
}

/** The label, `values`, of what was made of a values file, so that what a newer one does not have can go. */
export const madeFromLabel = 'dns.cloudless.dev/made-from';

/** Of the Service through which the world asks; its ports are `dns` and `dns-tcp`. */
export const dnsServiceName = 'dns';
/** Of the Service of PowerDNS's HTTP API, whose port is `api`; there only for pods, and when the values have `service.api`. */
export const apiServiceName = 'dns-api';
/** Of the Service of metrics, whose port is `metrics`; likewise, by `service.externalDNSMetrics`. */
export const metricsServiceName = 'dns-metrics';

const mostBytes = 1_000_000;

/** The values are more than a ConfigMap holds. */
export class ValuesTooLargeError extends Error {
  override readonly name = 'ValuesTooLargeError';
}

/**
 * What values become in a cluster: namespace, ConfigMap, Secrets, and Services. Secrets that stand in the text go into
 * Secrets and are left out of the ConfigMap. With a `selector` the Services lead to those pods; without one somebody writes
 * their EndpointSlices. Throws {@link ValuesTooLargeError}.
 */
export function valuesObjects(
  text: string,
  parsed: ParsedValues,
  options: { namespace: string; selector?: Readonly<Record<string, string>> | undefined },
): ValuesObject[] {
  const { namespace } = options;
  const labels = { 'app.kubernetes.io/managed-by': 'cloudless', [madeFromLabel]: 'values' };
  const metadata = (name: string): KubeObject['metadata'] => ({ name, namespace, labels });
  const kept = withoutSecrets(text);
  const size = Buffer.byteLength(kept);
  if (size > mostBytes)
    throw new ValuesTooLargeError(
      `the values have ${size} octets and a ConfigMap holds ${mostBytes}: put zones into ConfigMaps of their own, with the label dns.cloudless.dev/zones=true`,
    );
  return [
    {
      resource: core.namespaces,
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    },
    ...secretsOf(parsed, metadata),
    {
      resource: core.configmaps,
      object: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: metadata(valuesConfigMap),
        data: { [valuesField]: kept },
      } as KubeObject,
    },
    ...servicesOf(parsed, metadata, options.selector),
  ];
}

function secretsOf(
  { plainSecrets, apiKeySecret }: ParsedValues,
  metadata: (name: string) => KubeObject['metadata'],
): ValuesObject[] {
  const secret = (name: string, stringData: Record<string, string>): ValuesObject => ({
    resource: core.secrets,
    object: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata(name),
      type: 'Opaque',
      data: Object.fromEntries(
        Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
      ),
    } as KubeObject,
  });
  const keys: Record<string, string> = {
    ...(plainSecrets.apiKey === undefined ? {} : { [apiKeySecret.key]: plainSecrets.apiKey }),
    ...(plainSecrets.engineKey === undefined ? {} : { [engineKeyField]: plainSecrets.engineKey }),
  };
  return [
    ...(Object.keys(keys).length === 0 ? [] : [secret(apiKeySecret.name, keys)]),
    ...(Object.keys(plainSecrets.tsigKeys).length === 0
      ? []
      : [secret(tsigKeysSecret, { ...plainSecrets.tsigKeys })]),
  ];
}

function servicesOf(
  { service }: ParsedValues,
  metadata: (name: string) => KubeObject['metadata'],
  selector: Readonly<Record<string, string>> | undefined,
): ValuesObject[] {
  const made = (name: string, values: ServiceValues, ports: ServicePort[]): ValuesObject => ({
    resource: core.services,
    object: serviceOf(values, metadata(name), ports, selector),
  });
  const { dns, api, metrics } = service;
  const dnsPorts = (dns?.transports ?? []).map((protocol): ServicePort => {
    const name = protocol === 'UDP' ? 'dns' : 'dns-tcp';
    const nodePort = dns?.nodePort === undefined ? {} : { nodePort: dns.nodePort };
    return { name, protocol, port: dns?.port ?? 53, targetPort: name, ...nodePort };
  });
  const port = (name: string, values: ServiceValues): ServicePort[] => [
    { name, protocol: 'TCP', port: values.port, targetPort: name },
  ];
  return [
    ...(dns ? [made(dnsServiceName, dns, dnsPorts)] : []),
    // Only pods are reached by these: a dns process has its API and metrics on loopback.
    ...(api && selector ? [made(apiServiceName, api, port('api', api))] : []),
    ...(metrics && selector ? [made(metricsServiceName, metrics, port('metrics', metrics))] : []),
  ];
}

function serviceOf(
  values: ServiceValues,
  metadata: KubeObject['metadata'],
  ports: ServicePort[],
  selector: Readonly<Record<string, string>> | undefined,
): Service {
  const { annotations, labels, type } = values;
  const balanced = {
    loadBalancerIP: values.loadBalancerIP,
    loadBalancerClass: values.loadBalancerClass,
    loadBalancerSourceRanges: values.loadBalancerSourceRanges,
    allocateLoadBalancerNodePorts: values.allocateLoadBalancerNodePorts,
  };
  const spec = {
    type,
    ports,
    selector,
    ipFamilyPolicy: values.ipFamilyPolicy,
    ipFamilies: values.ipFamilies,
    clusterIP: values.clusterIP,
    externalIPs: values.externalIPs,
    // Limits and access count by who asks, so that must be seen: not the node that passed a question on.
    ...(type === 'ClusterIP' ? {} : { externalTrafficPolicy: values.externalTrafficPolicy ?? 'Local' }),
    ...(type === 'LoadBalancer' ? balanced : {}),
  };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, labels: { ...labels, ...metadata.labels }, annotations },
    spec: Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)),
  };
}
