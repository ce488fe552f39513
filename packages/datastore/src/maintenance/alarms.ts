import type { AlarmType } from '@cloudless/kube/etcd/maintenance';

/** Bits of the fact `alarms`. */
const bits: Record<AlarmType, bigint> = { nospace: 1n, corrupt: 2n };
const types = Object.keys(bits) as AlarmType[];

/** The alarms that the fact's value says are raised. */
export function alarmsOf(fact: bigint): ReadonlySet<AlarmType> {
  return new Set(types.filter((type) => (fact & bits[type]) !== 0n));
}

/** The fact's value with this alarm raised, or taken back. */
export function withAlarm(fact: bigint, alarm: AlarmType, isRaised: boolean): bigint {
  return isRaised ? fact | bits[alarm] : fact & ~bits[alarm];
}
