import type { Refusal } from './heartbeat-codec.ts';

/** Why this node stopped answering to find out whether it was missed. */
export type RejoinReason = 'started' | 'late' | 'cut-off' | 'missed';

/** Counters, for metrics. */
export interface HeartbeatCounts {
  sent: number;
  taken: number;
  refused: Record<Refusal | 'unknown-sender' | 'other-receiver' | 'old' | 'unproven', number>;
  silences: number;
  rejoins: Record<RejoinReason, number>;
}

/** Counters at a start. */
export function noCounts(): HeartbeatCounts {
  return {
    sent: 0,
    taken: 0,
    refused: {
      'no-heartbeat': 0,
      version: 0,
      'not-sealed': 0,
      sealed: 0,
      'wrong-key': 0,
      malformed: 0,
      'unknown-sender': 0,
      'other-receiver': 0,
      old: 0,
      unproven: 0,
    },
    silences: 0,
    rejoins: { started: 0, late: 0, 'cut-off': 0, missed: 0 },
  };
}
