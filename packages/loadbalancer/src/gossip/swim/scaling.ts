/** How memberlist's intervals and counts grow with a cluster (memberlist, util.go). */

const pushPullScaleMembers = 32;

/** The least time that a suspect has to refute. */
export function suspicionTimeoutMs(suspicionMult: number, members: number, probeIntervalMs: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, members)));
  return (suspicionMult * Math.floor(scale * 1000) * probeIntervalMs) / 1000;
}

/** How often one broadcast is sent. */
export function retransmitLimit(retransmitMult: number, members: number): number {
  return retransmitMult * Math.ceil(Math.log10(members + 1));
}

/** Between push/pulls: the interval up to 32 members, and as much again with each doubling. */
export function scaledPushPullMs(intervalMs: number, members: number): number {
  if (members <= pushPullScaleMembers) return intervalMs;
  return (Math.ceil(Math.log2(members) - Math.log2(pushPullScaleMembers)) + 1) * intervalMs;
}
