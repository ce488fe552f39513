/** Kinds of networks that memberlist has settings for. */
export type GossipProfile = 'lan' | 'wan' | 'local';

/** memberlist's tunables that matter on the wire or for timing; all members of a cluster should have the same. */
export interface GossipSettings {
  /** Connecting, reading and writing of one stream. */
  tcpTimeoutMs: number;
  /** Members asked to ping one that did not answer. */
  indirectChecks: number;
  /** A broadcast is sent this many times log10(members + 1), rounded up. */
  retransmitMult: number;
  /** A suspect is dead after this many probe intervals times log10(members), where others confirm the suspicion. */
  suspicionMult: number;
  /** Without confirmation it takes this many times as long. */
  suspicionMaxTimeoutMult: number;
  /** Between exchanges of the whole state with a random member; 0: never. Longer with more than 32 members. */
  pushPullIntervalMs: number;
  /** Between probes of one member after the other. */
  probeIntervalMs: number;
  /** Wait for a direct answer; should be the network's round trip, 99th percentile. */
  probeTimeoutMs: number;
  disableTcpPings: boolean;
  /** A member in poor health waits up to this many probe intervals. */
  awarenessMaxMultiplier: number;
  gossipIntervalMs: number;
  /** Random members that get the broadcasts of each interval; 0: broadcasts ride on probes alone. */
  gossipNodes: number;
  /** How long the dead go on hearing gossip, so that they can refute; then they are forgotten. */
  gossipToTheDeadMs: number;
  /** Plain text is refused when there is a key. */
  verifyIncoming: boolean;
  /** What is sent is encrypted when there is a key. Both off and on again: a running cluster gets a key. */
  verifyOutgoing: boolean;
  /** Largest packet that is sent. */
  packetBytes: number;
  /** A dead member's name may come back from another address after this; 0: only once the dead is forgotten. */
  deadNodeReclaimMs: number;
  /** Between attempts to reach a lost member again; 0: never, which is memberlist's way (serf's is 30 s). */
  reconnectIntervalMs: number;
  /** A lost member is given up after this. */
  reconnectTimeoutMs: number;
}

const lan: GossipSettings = {
  tcpTimeoutMs: 10_000,
  indirectChecks: 3,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  pushPullIntervalMs: 30_000,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  disableTcpPings: false,
  awarenessMaxMultiplier: 8,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  verifyIncoming: true,
  verifyOutgoing: true,
  packetBytes: 1_400,
  deadNodeReclaimMs: 0,
  reconnectIntervalMs: 1_000,
  reconnectTimeoutMs: 24 * 3_600_000,
};

const profiles: Readonly<Record<GossipProfile, Readonly<GossipSettings>>> = {
  lan,
  wan: {
    ...lan,
    tcpTimeoutMs: 30_000,
    suspicionMult: 6,
    pushPullIntervalMs: 60_000,
    probeTimeoutMs: 3_000,
    probeIntervalMs: 5_000,
    gossipNodes: 4,
    gossipIntervalMs: 500,
    gossipToTheDeadMs: 60_000,
  },
  local: {
    ...lan,
    tcpTimeoutMs: 1_000,
    indirectChecks: 1,
    retransmitMult: 2,
    suspicionMult: 3,
    pushPullIntervalMs: 15_000,
    probeTimeoutMs: 200,
    gossipIntervalMs: 100,
    gossipToTheDeadMs: 15_000,
  },
};

/** A setting that cannot work; the message names it. */
export class GossipSettingsError extends Error {
  override readonly name = 'GossipSettingsError';
}

const leastOf: Readonly<Partial<Record<keyof GossipSettings, number>>> = {
  tcpTimeoutMs: 1,
  indirectChecks: 0,
  retransmitMult: 1,
  suspicionMult: 1,
  suspicionMaxTimeoutMult: 1,
  pushPullIntervalMs: 0,
  probeIntervalMs: 1,
  probeTimeoutMs: 1,
  awarenessMaxMultiplier: 1,
  gossipIntervalMs: 1,
  gossipNodes: 0,
  gossipToTheDeadMs: 0,
  packetBytes: 576,
  deadNodeReclaimMs: 0,
  reconnectIntervalMs: 0,
  reconnectTimeoutMs: 0,
};

/**
 * A profile's settings with `changes`. Values are memberlist's (config.go: DefaultLANConfig and its kin).
 * Throws {@link GossipSettingsError} for one that could not work.
 */
export function gossipSettings(
  profile: GossipProfile = 'lan',
  changes: Partial<GossipSettings> = {},
): Readonly<GossipSettings> {
  const settings = { ...profiles[profile], ...changes };
  for (const [name, least] of Object.entries(leastOf)) {
    const value = settings[name as keyof GossipSettings];
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least)
      throw new GossipSettingsError(
        `gossip setting ${name} is ${String(value)}: need a number of at least ${least}`,
      );
  }
  if (settings.packetBytes > 65_507)
    throw new GossipSettingsError(
      `gossip setting packetBytes is ${settings.packetBytes}: UDP carries 65507 at most`,
    );
  if (settings.probeTimeoutMs > settings.probeIntervalMs)
    throw new GossipSettingsError(
      `gossip setting probeTimeoutMs (${settings.probeTimeoutMs}) is above probeIntervalMs (${settings.probeIntervalMs})`,
    );
  return Object.freeze(settings);
}
