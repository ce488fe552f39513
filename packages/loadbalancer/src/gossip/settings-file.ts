import { durationMs } from '@cloudless/kube/duration';
import { GossipSettingsError, gossipSettings } from './settings.ts';
import type { GossipSettings } from './settings.ts';

type Field = {
  readonly setting: keyof GossipSettings | 'compression' | undefined;
  readonly kind: 'duration' | 'count' | 'switch';
};

/** Fields of MetalLB's file; all are required. Those without a setting here size Go's own queues. */
const fields: Readonly<Record<string, Field>> = {
  TCPTimeout: { setting: 'tcpTimeoutMs', kind: 'duration' },
  IndirectChecks: { setting: 'indirectChecks', kind: 'count' },
  RetransmitMult: { setting: 'retransmitMult', kind: 'count' },
  SuspicionMult: { setting: 'suspicionMult', kind: 'count' },
  SuspicionMaxTimeoutMult: { setting: 'suspicionMaxTimeoutMult', kind: 'count' },
  PushPullInterval: { setting: 'pushPullIntervalMs', kind: 'duration' },
  ProbeTimeout: { setting: 'probeTimeoutMs', kind: 'duration' },
  ProbeInterval: { setting: 'probeIntervalMs', kind: 'duration' },
  DisableTcpPings: { setting: 'disableTcpPings', kind: 'switch' },
  AwarenessMaxMultiplier: { setting: 'awarenessMaxMultiplier', kind: 'count' },
  GossipNodes: { setting: 'gossipNodes', kind: 'count' },
  GossipInterval: { setting: 'gossipIntervalMs', kind: 'duration' },
  GossipToTheDeadTime: { setting: 'gossipToTheDeadMs', kind: 'duration' },
  GossipVerifyIncoming: { setting: 'verifyIncoming', kind: 'switch' },
  GossipVerifyOutgoing: { setting: 'verifyOutgoing', kind: 'switch' },
  EnableCompression: { setting: 'compression', kind: 'switch' },
  HandoffQueueDepth: { setting: undefined, kind: 'count' },
  UDPBufferSize: { setting: 'packetBytes', kind: 'count' },
  QueueCheckInterval: { setting: undefined, kind: 'duration' },
};

/**
 * Reads MetalLB's settings of memberlist (its file `/etc/metallb/memberlist/config.json`: JSON, durations as Go writes
 * them, every field required) as the `settings` and `compression` of `startGossip`. Throws
 * {@link GossipSettingsError} naming the field.
 */
export function parseMemberlistConfig(text: string): {
  settings: Readonly<GossipSettings>;
  compression: boolean;
} {
  const values = parseObject(text);
  const settings: Record<string, number | boolean> = {};
  for (const [name, field] of Object.entries(fields)) {
    if (!(name in values))
      throw new GossipSettingsError(`memberlist's configuration lacks ${name}: all fields are required`);
    const value = read(name, field.kind, values[name]);
    if (field.setting !== undefined) settings[field.setting] = value;
  }
  const { compression, ...rest } = settings;
  return { settings: gossipSettings('lan', rest), compression: compression === true };
}

function parseObject(text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new GossipSettingsError(`memberlist's configuration is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new GossipSettingsError("memberlist's configuration is not a JSON object");
  return parsed as Record<string, unknown>;
}

function read(name: string, kind: Field['kind'], value: unknown): number | boolean {
  if (kind === 'switch' && typeof value === 'boolean') return value;
  if (kind === 'count' && typeof value === 'number' && Number.isInteger(value)) return value;
  if (kind === 'duration' && typeof value === 'string') {
    const ms = durationMs(value);
    if (ms !== undefined) return ms;
  }
  const wanted = {
    switch: 'true or false',
    count: 'a whole number',
    duration: 'a duration such as "5s" or "200ms"',
  }[kind];
  throw new GossipSettingsError(
    `${name} in memberlist's configuration is ${JSON.stringify(value)}: need ${wanted}`,
  );
}
