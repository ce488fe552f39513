import { isIP, isIPv4 } from 'node:net';
import type { HostPort } from './attachments.ts';

/** One call of the plugin, parsed (CNI specification 1.0.0, section 2). */
export interface CniRequest {
  command: 'ADD' | 'DEL' | 'CHECK';
  containerId: string;
  netns: string;
  ifName: string;
  /** `namespace/name`, from CNI_ARGS. */
  pod: string;
  cniVersion: string;
  hostPorts: HostPort[];
}

/** Codes of the CNI specification 1.0.0, section 5; from 100 on they are a plugin's own. */
export const cniCode = {
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  failed: 100,
  rangeExhausted: 101,
  hostPortTaken: 102,
  notAsMade: 103,
} as const;

/** A refusal that the runtime is told, with a code of {@link cniCode}. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

interface NetworkConfig {
  cniVersion?: unknown;
  runtimeConfig?: { portMappings?: unknown } | null;
}

/** Reads what the plugin hands over: `{"environment": {"CNI_…": "…"}, "config": "…"}`. Throws {@link CniError}. */
export function parseRequest(message: string): CniRequest {
  const { environment, config: configText } = parseEnvelope(message);
  const text = (name: string): string => {
    const value = environment[name];
    return typeof value === 'string' ? value : '';
  };
  const need = (name: string, pattern: RegExp): string => {
    const value = text(name);
    if (!pattern.test(value))
      throw new CniError(cniCode.invalidEnvironment, `${name}=${JSON.stringify(value)} is not valid`);
    return value;
  };
  const command = need('CNI_COMMAND', /^(ADD|DEL|CHECK)$/) as CniRequest['command'];
  const args = new Map(
    text('CNI_ARGS')
      .split(';')
      .map((pair) => pair.split('=', 2) as [string, string]),
  );
  const config = parseConfig(configText);
  return {
    command,
    // Also a file's name: 200 characters leave room for the interface's.
    containerId: need('CNI_CONTAINERID', /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/),
    // DEL may come a second time without a namespace.
    netns: command === 'DEL' ? text('CNI_NETNS') : need('CNI_NETNS', /^\/[^\s]+$/),
    ifName: need('CNI_IFNAME', /^(?!\.{1,2}$)[^\s/:"']{1,15}$/),
    pod: `${args.get('K8S_POD_NAMESPACE') ?? ''}/${args.get('K8S_POD_NAME') ?? ''}`,
    cniVersion: typeof config.cniVersion === 'string' ? config.cniVersion : '1.0.0',
    // What is being removed need not be valid.
    hostPorts: command === 'DEL' ? [] : parsePortMappings(config.runtimeConfig?.portMappings ?? []),
  };
}

function parseEnvelope(text: string): { environment: Record<string, unknown>; config: string } {
  try {
    const envelope = JSON.parse(text) as { environment?: unknown; config?: unknown } | null;
    const { environment, config } = envelope ?? {};
    if (typeof environment === 'object' && environment !== null && typeof config === 'string')
      return { environment: environment as Record<string, unknown>, config };
  } catch {
    // Said below.
  }
  throw new CniError(cniCode.decoding, 'the request is not what the cloudless CNI plugin sends');
}

function parseConfig(text: string): NetworkConfig {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new CniError(cniCode.decoding, 'the network configuration on standard input is not JSON', cause);
  }
  if (typeof config !== 'object' || config === null)
    throw new CniError(cniCode.decoding, 'the network configuration on standard input is no object');
  return config;
}

/** The capability `portMappings` (CNI conventions): hostPort 0 asks for none. */
function parsePortMappings(value: unknown): HostPort[] {
  const refuse = (field: string, why: string): never => {
    throw new CniError(cniCode.invalidConfig, `runtimeConfig.portMappings${field}: ${why}`);
  };
  if (!Array.isArray(value)) return refuse('', 'expected a list');
  return value.flatMap((item: unknown, i) => {
    if (typeof item !== 'object' || item === null) return refuse(`[${i}]`, 'expected an object');
    const mapping = item as Record<string, unknown>;
    const port = (field: string, least: number): number => {
      const number = mapping[field] ?? 0;
      return typeof number === 'number' && Number.isInteger(number) && number >= least && number <= 65535
        ? number
        : refuse(`[${i}].${field}`, `${JSON.stringify(number)} is no port`);
    };
    const hostPort = port('hostPort', 0);
    if (hostPort === 0) return [];
    const given = mapping['protocol'] ?? 'tcp';
    const protocol = typeof given === 'string' ? given.toLowerCase() : '';
    if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
      return refuse(`[${i}].protocol`, `${JSON.stringify(given)}: expected tcp, udp or sctp`);
    return [
      { hostPort, containerPort: port('containerPort', 1), protocol, hostIp: hostIp(mapping, i, refuse) },
    ];
  });
}

function hostIp(
  mapping: Record<string, unknown>,
  i: number,
  refuse: (field: string, why: string) => never,
): string {
  const value = mapping['hostIP'] ?? '';
  if (value === '' || value === '0.0.0.0' || value === '::') return '';
  if (typeof value === 'string' && isIPv4(value)) return value;
  const text = JSON.stringify(value);
  return typeof value === 'string' && isIP(value) === 6
    ? refuse(`[${i}].hostIP`, `${text}: pods have IPv4 addresses only, so no IPv6 address can lead to them`)
    : refuse(`[${i}].hostIP`, `${text} is no IP address`);
}
