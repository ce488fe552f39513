import type { AlarmType } from '@cloudless/kube/etcd/maintenance';
import { EtcdError, etcdErrors, grpcCode } from '@cloudless/kube/etcd/store';

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

/**
 * Refuses what raised alarms forbid (upstream: server/etcdserver/apply, applierV3Capped and applierV3Corrupt): with
 * `nospace` whatever makes the store grow, with `corrupt` every change.
 *
 * @throws EtcdError
 */
export function checkAlarms(fact: bigint | undefined, grows: boolean): void {
  if (fact === undefined || fact === 0n) return;
  if ((fact & bits.corrupt) !== 0n) throw new EtcdError(grpcCode.dataLoss, 'etcdserver: corrupt cluster');
  if (grows && (fact & bits.nospace) !== 0n) throw etcdErrors.noSpace();
}
