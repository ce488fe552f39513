import type { Container, LifecycleHandler, Probe, SELinuxOptions } from '@cloudless/kube/types/core-v1';
import {
  type Check,
  containersOf,
  containersText,
  namesWhere,
  plural,
  quoted,
  settersText,
  sorted,
} from './words.ts';

const defaultCapabilities: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);
/** Safe sysctls by the version that allowed them first. */
const safeSysctls: Readonly<Record<string, number>> = {
  'kernel.shm_rmid_forced': 0,
  'net.ipv4.ip_local_port_range': 0,
  'net.ipv4.tcp_syncookies': 0,
  'net.ipv4.ping_group_range': 0,
  'net.ipv4.ip_unprivileged_port_start': 0,
  'net.ipv4.ip_local_reserved_ports': 27,
  'net.ipv4.tcp_keepalive_time': 29,
  'net.ipv4.tcp_fin_timeout': 29,
  'net.ipv4.tcp_keepalive_intvl': 29,
  'net.ipv4.tcp_keepalive_probes': 29,
  'net.ipv4.tcp_rmem': 32,
  'net.ipv4.tcp_wmem': 32,
};
const appArmorAnnotation = 'container.apparmor.security.beta.kubernetes.io/';
const safeProfiles: ReadonlyArray<string | undefined> = ['RuntimeDefault', 'Localhost'];

const appArmorProfile: Check = ({ metadata, spec }) => {
  const bad = (type: string | undefined): boolean => type !== undefined && !safeProfiles.includes(type);
  const podType = spec?.securityContext?.appArmorProfile?.type;
  const badContainers = containersOf(spec).filter(({ securityContext }) =>
    bad(securityContext?.appArmorProfile?.type),
  );
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(
      ([key, value]) =>
        key.startsWith(appArmorAnnotation) &&
        value !== '' &&
        value !== 'runtime/default' &&
        !value.startsWith('localhost/'),
    )
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  const types = [
    ...(bad(podType) ? [podType as string] : []),
    ...badContainers.map(({ securityContext }) => securityContext?.appArmorProfile?.type ?? ''),
  ];
  const values = [...sorted(types), ...annotations];
  if (values.length === 0) return undefined;
  const setters = [
    settersText(
      bad(podType),
      badContainers.map(({ name }) => name),
    ),
    annotations.length > 0 ? plural('annotation', 'annotations', annotations.length) : '',
  ].filter((text) => text !== '');
  return {
    reason: plural('forbidden AppArmor profile', 'forbidden AppArmor profiles', values.length),
    detail: `${setters.join(' and ')} must not set AppArmor profile type to ${quoted(values)}`,
  };
};

/** Not part of `restricted`, which has its own. */
export const baselineCapabilities: Check = ({ spec }) => {
  const beyond = ({ securityContext }: Container): string[] =>
    (securityContext?.capabilities?.add ?? []).filter((capability) => !defaultCapabilities.has(capability));
  const names = namesWhere(spec, (container) => beyond(container).length > 0);
  if (names.length === 0) return undefined;
  const added = sorted(containersOf(spec).flatMap(beyond));
  return {
    reason: 'non-default capabilities',
    detail: `${containersText(names)} must not include ${quoted(added)} in securityContext.capabilities.add`,
  };
};

const hostNamespaces: Check = ({ spec }) => {
  const used = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec?.[field] === true);
  return used.length === 0
    ? undefined
    : { reason: 'host namespaces', detail: used.map((field) => `${field}=true`).join(', ') };
};

/** Not part of `restricted`, which allows only listed volume types. */
export const hostPathVolumes: Check = ({ spec }) => {
  const names = (spec?.volumes ?? [])
    .filter(({ hostPath }) => hostPath !== undefined)
    .map(({ name }) => name);
  return names.length === 0
    ? undefined
    : { reason: 'hostPath volumes', detail: `${plural('volume', 'volumes', names.length)} ${quoted(names)}` };
};

const hostPorts: Check = ({ spec }) => {
  const used = ({ ports }: Container): string[] =>
    (ports ?? []).flatMap(({ hostPort }) => ((hostPort ?? 0) === 0 ? [] : [String(hostPort)]));
  const names = namesWhere(spec, (container) => used(container).length > 0);
  if (names.length === 0) return undefined;
  const ports = sorted(containersOf(spec).flatMap(used));
  return {
    reason: 'hostPort',
    detail: `${containersText(names)} ${plural('uses', 'use', names.length)} ${plural('hostPort', 'hostPorts', ports.length)} ${ports.join(', ')}`,
  };
};

const hostsOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): string[] => {
  const handlers: Array<Probe | LifecycleHandler | undefined> = [
    livenessProbe,
    readinessProbe,
    startupProbe,
    lifecycle?.postStart,
    lifecycle?.preStop,
  ];
  return handlers
    .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
    .filter((host): host is string => host !== undefined && host !== '');
};

const hostProbes: Check = ({ spec }, minor) => {
  if (minor < 34) return undefined;
  const names = sorted(namesWhere(spec, (container) => hostsOf(container).length > 0));
  if (names.length === 0) return undefined;
  const hosts = sorted(containersOf(spec).flatMap(hostsOf));
  return {
    reason: 'probe or lifecycle host',
    detail: `${containersText(names)} ${plural('uses', 'use', names.length)} ${plural('probe or lifecycle host', 'probe or lifecycle hosts', hosts.length)} ${quoted(hosts)}`,
  };
};

const privileged: Check = ({ spec }) => {
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.privileged === true);
  return names.length === 0
    ? undefined
    : {
        reason: 'privileged',
        detail: `${containersText(names)} must not set securityContext.privileged=true`,
      };
};

const procMount: Check = ({ spec }, minor) => {
  if (minor >= 35 && spec?.hostUsers === false) return undefined;
  const other = ({ securityContext }: Container): string | undefined =>
    securityContext?.procMount === 'Default' ? undefined : securityContext?.procMount;
  const names = namesWhere(spec, (container) => other(container) !== undefined);
  if (names.length === 0) return undefined;
  const types = sorted(containersOf(spec).flatMap((container) => other(container) ?? []));
  return {
    reason: 'procMount',
    detail: `${containersText(names)} must not set securityContext.procMount to ${quoted(types)}`,
  };
};

const seLinuxOptions: Check = ({ spec }, minor) => {
  const types = [
    '',
    'container_t',
    'container_init_t',
    'container_kvm_t',
    ...(minor >= 31 ? ['container_engine_t'] : []),
  ];
  const wrongType = (options: SELinuxOptions | undefined): boolean => !types.includes(options?.type ?? '');
  const bad = (options: SELinuxOptions | undefined): boolean =>
    options !== undefined && (wrongType(options) || Boolean(options.user) || Boolean(options.role));
  const podOptions = spec?.securityContext?.seLinuxOptions;
  const names = namesWhere(spec, ({ securityContext }) => bad(securityContext?.seLinuxOptions));
  if (!bad(podOptions) && names.length === 0) return undefined;
  const all = [
    podOptions,
    ...containersOf(spec).map(({ securityContext }) => securityContext?.seLinuxOptions),
  ];
  const badTypes = sorted(
    all.flatMap((options) => (options && wrongType(options) ? [options.type ?? ''] : [])),
  );
  const what = [
    ...(badTypes.length > 0 ? [`${plural('type', 'types', badTypes.length)} ${quoted(badTypes)}`] : []),
    ...(all.some((options) => options?.user) ? ['user may not be set'] : []),
    ...(all.some((options) => options?.role) ? ['role may not be set'] : []),
  ];
  return {
    reason: 'seLinuxOptions',
    detail: `${settersText(bad(podOptions), names)} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}`,
  };
};

/** Not part of `restricted`, which has its own. */
export const baselineSeccomp: Check = ({ spec }) => {
  const bad = (type: string | undefined): boolean => type !== undefined && !safeProfiles.includes(type);
  const podType = spec?.securityContext?.seccompProfile?.type;
  const names = namesWhere(spec, ({ securityContext }) => bad(securityContext?.seccompProfile?.type));
  if (!bad(podType) && names.length === 0) return undefined;
  const all = [
    podType,
    ...containersOf(spec).map(({ securityContext }) => securityContext?.seccompProfile?.type),
  ];
  const values = sorted(all.filter((type): type is string => bad(type)));
  return {
    reason: 'seccompProfile',
    detail: `${settersText(bad(podType), names)} must not set securityContext.seccompProfile.type to ${quoted(values)}`,
  };
};

const sysctls: Check = ({ spec }, minor) => {
  const names = (spec?.securityContext?.sysctls ?? [])
    .map(({ name }) => name)
    .filter((name) => !Object.hasOwn(safeSysctls, name) || (safeSysctls[name] as number) > minor);
  return names.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: names.join(', ') };
};

const windowsHostProcess: Check = ({ spec }) => {
  const onPod = spec?.securityContext?.windowsOptions?.hostProcess === true;
  const names = namesWhere(
    spec,
    ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true,
  );
  return onPod || names.length > 0
    ? {
        reason: 'hostProcess',
        detail: `${settersText(onPod, names)} must not set securityContext.windowsOptions.hostProcess=true`,
      }
    : undefined;
};

/** Checks that both levels share, before and after those that `restricted` replaces. */
export const baselineChecks: readonly Check[] = [
  appArmorProfile,
  baselineCapabilities,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbes,
  privileged,
  procMount,
  seLinuxOptions,
  baselineSeccomp,
  sysctls,
  windowsHostProcess,
];
