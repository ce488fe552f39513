import type { Service } from '@cloudless/kube/types/core-v1';

/**
 * The environment variables by which a pod finds Services (upstream: pkg/kubelet/envvars): for the first port
 * `NAME_SERVICE_HOST` and `_PORT`, for named ports `_PORT_PORTNAME`, and Docker's link variables.
 */
export function serviceVariables(services: Iterable<Service>): Map<string, string> {
  const variables = new Map<string, string>();
  for (const service of services) {
    const ip = service.spec?.clusterIP;
    const ports = service.spec?.ports ?? [];
    const [first] = ports;
    if (!ip || ip === 'None' || service.spec?.type === 'ExternalName' || first === undefined) continue;
    const name = variableName(service.metadata.name ?? '');
    variables.set(`${name}_SERVICE_HOST`, ip);
    variables.set(`${name}_SERVICE_PORT`, String(first.port));
    for (const port of ports) {
      if (port.name) variables.set(`${name}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
    }
    for (const [at, port] of ports.entries()) {
      const protocol = port.protocol ?? 'TCP';
      const host = ip.includes(':') ? `[${ip}]` : ip;
      const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
      const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`;
      if (at === 0) variables.set(`${name}_PORT`, url);
      variables.set(prefix, url);
      variables.set(`${prefix}_PROTO`, protocol.toLowerCase());
      variables.set(`${prefix}_PORT`, String(port.port));
      variables.set(`${prefix}_ADDR`, ip);
    }
  }
  return variables;
}

const variableName = (text: string): string => text.toUpperCase().replaceAll('-', '_');

/** The Services a pod sees: those of its namespace when it wants links, and always `default/kubernetes`. */
export function visibleServices(
  services: Iterable<Service>,
  namespace: string,
  enableServiceLinks: boolean,
): Service[] {
  const own: Service[] = [];
  const control: Service[] = [];
  for (const service of services) {
    const at = service.metadata;
    if (at.namespace === namespace && enableServiceLinks) own.push(service);
    else if (at.namespace === 'default' && at.name === 'kubernetes') control.push(service);
  }
  return [...control, ...own];
}
