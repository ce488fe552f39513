import { durationMs } from '@cloudless/kube/duration';
import { parseYamlDocuments } from '@cloudless/kube/codec/yaml';
import { amountOf } from '../resources/amounts.ts';

/** The fields of `kubelet.config.k8s.io/v1beta1` that this kubelet reads, with upstream's defaults filled in. */
export interface KubeletConfiguration {
  /** Folder of static pods; empty for none. */
  staticPodPath: string;
  fileCheckFrequencyMs: number;
  clusterDNS: string[];
  clusterDomain: string;
  /** The node's resolver configuration; empty leaves pods of policy Default without one. */
  resolvConf: string;
  nodeStatusUpdateFrequencyMs: number;
  nodeStatusReportFrequencyMs: number;
  nodeLeaseDurationSeconds: number;
  maxPods: number;
  /** -1 for no limit. */
  podPidsLimit: number;
  cgroupDriver: 'systemd' | 'cgroupfs';
  /** Empty or `/` for the machine's root. */
  cgroupRoot: string;
  serializeImagePulls: boolean;
  seccompDefault: boolean;
  shutdownGracePeriodMs: number;
  shutdownGracePeriodCriticalPodsMs: number;
  systemReserved: Record<string, string>;
  kubeReserved: Record<string, string>;
  evictionHard: Record<string, string>;
  registerNode: boolean;
  registerWithTaints: Array<{ key: string; value?: string; effect: string }>;
  containerLogMaxSize: string;
  containerLogMaxFiles: number;
  allowedUnsafeSysctls: string[];
  podCIDR: string;
  providerID: string;
}

/** Sentences about a configuration that cannot be used, each with the path of its field. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

export const kubeletDefaults: Readonly<KubeletConfiguration> = Object.freeze({
  staticPodPath: '',
  fileCheckFrequencyMs: 20_000,
  clusterDNS: [],
  clusterDomain: 'cluster.local',
  resolvConf: '/etc/resolv.conf',
  nodeStatusUpdateFrequencyMs: 10_000,
  nodeStatusReportFrequencyMs: 300_000,
  nodeLeaseDurationSeconds: 40,
  maxPods: 110,
  podPidsLimit: -1,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: '',
  serializeImagePulls: true,
  seccompDefault: false,
  shutdownGracePeriodMs: 0,
  shutdownGracePeriodCriticalPodsMs: 0,
  systemReserved: {},
  kubeReserved: {},
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '10%',
    'nodefs.inodesFree': '5%',
    'imagefs.available': '15%',
  },
  registerNode: true,
  registerWithTaints: [],
  containerLogMaxSize: '10Mi',
  containerLogMaxFiles: 5,
  allowedUnsafeSysctls: [],
  podCIDR: '',
  providerID: '',
});

type Reader = (value: unknown, at: string, problems: string[]) => unknown;

const text: Reader = (value, at, problems) => {
  if (typeof value === 'string') return value;
  problems.push(`${at} must be a text`);
  return '';
};
const flag: Reader = (value, at, problems) => {
  if (typeof value === 'boolean') return value;
  problems.push(`${at} must be true or false`);
  return false;
};
const whole =
  (least: number): Reader =>
  (value, at, problems) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least) return value;
    problems.push(`${at} must be a whole number of at least ${least}`);
    return least;
  };
const texts: Reader = (value, at, problems) => {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  problems.push(`${at} must be a list of texts`);
  return [];
};
const textMap: Reader = (value, at, problems) => {
  const fits = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (fits && Object.values(value).every((item) => typeof item === 'string' || typeof item === 'number')) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
  }
  problems.push(`${at} must map names to texts`);
  return {};
};
const quantities: Reader = (value, at, problems) => {
  const map = textMap(value, at, problems) as Record<string, string>;
  for (const [key, quantity] of Object.entries(map)) {
    try {
      amountOf(quantity);
    } catch {
      problems.push(`${at}.${key} must be a quantity such as "100Mi", not "${quantity}"`);
    }
  }
  return map;
};
const quantity: Reader = (value, at, problems) => {
  try {
    amountOf(value as string);
  } catch {
    problems.push(`${at} must be a quantity such as "10Mi", not ${JSON.stringify(value)}`);
  }
  return String(value);
};
const oneOf =
  (...values: string[]): Reader =>
  (value, at, problems) => {
    if (typeof value === 'string' && values.includes(value)) return value;
    problems.push(`${at} must be one of ${values.join(', ')}`);
    return values[0];
  };

const duration: Reader = (value, at, problems) => {
  const ms = value === 0 ? 0 : typeof value === 'string' ? durationMs(value) : undefined;
  if (ms !== undefined) return ms;
  problems.push(`${at} must be a duration such as "40s" or "1m30s", not ${JSON.stringify(value)}`);
  return 0;
};

const taints: Reader = (value, at, problems) => {
  if (!Array.isArray(value)) {
    problems.push(`${at} must be a list of taints`);
    return [];
  }
  for (const [index, taint] of value.entries()) {
    const { key, effect } = (taint ?? {}) as { key?: unknown; effect?: unknown };
    if (typeof key !== 'string' || key === '') problems.push(`${at}[${index}].key must be a text`);
    if (!['NoSchedule', 'PreferNoSchedule', 'NoExecute'].includes(effect as string)) {
      problems.push(`${at}[${index}].effect must be one of NoSchedule, PreferNoSchedule, NoExecute`);
    }
  }
  return value;
};

/** Field of the file → field here, and how it is read. */
const readers: Record<string, [keyof KubeletConfiguration, Reader]> = {
  staticPodPath: ['staticPodPath', text],
  fileCheckFrequency: ['fileCheckFrequencyMs', duration],
  clusterDNS: ['clusterDNS', texts],
  clusterDomain: ['clusterDomain', text],
  resolvConf: ['resolvConf', text],
  nodeStatusUpdateFrequency: ['nodeStatusUpdateFrequencyMs', duration],
  nodeStatusReportFrequency: ['nodeStatusReportFrequencyMs', duration],
  nodeLeaseDurationSeconds: ['nodeLeaseDurationSeconds', whole(1)],
  maxPods: ['maxPods', whole(0)],
  podPidsLimit: ['podPidsLimit', whole(-1)],
  cgroupDriver: ['cgroupDriver', oneOf('systemd', 'cgroupfs')],
  cgroupRoot: ['cgroupRoot', text],
  serializeImagePulls: ['serializeImagePulls', flag],
  seccompDefault: ['seccompDefault', flag],
  shutdownGracePeriod: ['shutdownGracePeriodMs', duration],
  shutdownGracePeriodCriticalPods: ['shutdownGracePeriodCriticalPodsMs', duration],
  systemReserved: ['systemReserved', quantities],
  kubeReserved: ['kubeReserved', quantities],
  evictionHard: ['evictionHard', textMap],
  registerNode: ['registerNode', flag],
  registerWithTaints: ['registerWithTaints', taints],
  containerLogMaxSize: ['containerLogMaxSize', quantity],
  containerLogMaxFiles: ['containerLogMaxFiles', whole(2)],
  allowedUnsafeSysctls: ['allowedUnsafeSysctls', texts],
  podCIDR: ['podCIDR', text],
  providerID: ['providerID', text],
};

export interface ParsedConfiguration {
  config: Readonly<KubeletConfiguration>;
  /** Sentences about fields that upstream knows and this kubelet does not act on. */
  warnings: string[];
}

const group = 'kubelet.config.k8s.io/v1beta1';

/**
 * Reads a KubeletConfiguration: an object, or the text of a file whose documents may hold other kinds too (as
 * kubeadm's does). Throws {@link ConfigurationError} with every problem found.
 */
export function parseKubeletConfiguration(source: string | Record<string, unknown>): ParsedConfiguration {
  const document = typeof source === 'string' ? fromText(source) : source;
  const problems: string[] = [];
  const warnings: string[] = [];
  const config: Record<string, unknown> = { ...kubeletDefaults };
  if (document['apiVersion'] !== undefined && document['apiVersion'] !== group) {
    problems.push(`apiVersion must be ${group}, not ${JSON.stringify(document['apiVersion'])}`);
  }
  for (const [field, value] of Object.entries(document)) {
    if (field === 'apiVersion' || field === 'kind' || value === null || value === undefined) continue;
    const known = readers[field];
    if (!known) warnings.push(`${field} is not used by this kubelet`);
    else config[known[0]] = known[1](value, field, problems);
  }
  const result = config as unknown as KubeletConfiguration;
  checkTogether(result, problems);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { config: Object.freeze(result), warnings };
}

function fromText(source: string): Record<string, unknown> {
  for (const document of parseYamlDocuments(source)) {
    if (typeof document !== 'object' || document === null) continue;
    const object = document as Record<string, unknown>;
    if (object['kind'] === 'KubeletConfiguration') return object;
  }
  throw new ConfigurationError(['there is no document of kind KubeletConfiguration']);
}

function checkTogether(config: KubeletConfiguration, problems: string[]): void {
  if (config.shutdownGracePeriodCriticalPodsMs > config.shutdownGracePeriodMs) {
    problems.push(
      'shutdownGracePeriodCriticalPods must not be longer than shutdownGracePeriod, of which it is a part',
    );
  }
  for (const [field, ms] of [
    ['shutdownGracePeriod', config.shutdownGracePeriodMs],
    ['shutdownGracePeriodCriticalPods', config.shutdownGracePeriodCriticalPodsMs],
  ] as const) {
    if (ms !== 0 && ms < 1000) problems.push(`${field} must be 0 or at least 1s`);
  }
  if (config.staticPodPath !== '' && !config.staticPodPath.startsWith('/')) {
    problems.push('staticPodPath must be an absolute path');
  }
  if (config.resolvConf !== '' && !config.resolvConf.startsWith('/')) {
    problems.push('resolvConf must be an absolute path, or empty');
  }
}

/** Fields of the file that are acted on. */
export const knownFields: readonly string[] = Object.keys(readers);
