import type { Alarm, AlarmType, EtcdMaintenance, HashKvResponse } from '../maintenance.ts';
import type { CallOptions } from '../store.ts';
import type { MethodDefinition } from '../../protobuf/facts.ts';
import type { Endpoints } from './endpoints.ts';
import { revisionOf, type WireHeader } from './wire.ts';

/** What reads or rewrites the whole database takes longer than other calls. */
const wholeStoreMs = 10 * 60_000;
const alarmTypes: Record<number, AlarmType> = { 1: 'nospace', 2: 'corrupt' };
const alarmNumbers: Record<AlarmType, number> = { nospace: 1, corrupt: 2 };
const actions = { get: 0, activate: 1, deactivate: 2 } as const;

interface WireAlarms {
  alarms: Array<{ memberID: bigint; alarm: number }>;
}

/** etcd's Maintenance service over the endpoints of a cluster. What concerns one member is asked of the current one. */
export class MaintenanceClient implements EtcdMaintenance {
  readonly #endpoints: Endpoints;
  readonly #methods: Record<string, MethodDefinition>;

  constructor(endpoints: Endpoints, methods: Record<string, MethodDefinition>) {
    this.#endpoints = endpoints;
    this.#methods = methods;
  }

  #method(name: string): MethodDefinition {
    const method = this.#methods[name];
    if (method === undefined) throw new Error(`etcd's facts have no method ${name}`);
    return method;
  }

  async #alarm(action: number, alarm: AlarmType | undefined, memberID: bigint, options?: CallOptions) {
    const request = { action, memberID, alarm: alarm === undefined ? 0 : alarmNumbers[alarm] };
    const { alarms } = await this.#endpoints.unary<WireAlarms>(this.#method('Alarm'), request, {
      ...options,
      repeatable: true,
    });
    return alarms.flatMap(({ memberID: memberId, alarm: number }): Alarm[] => {
      const type = alarmTypes[number];
      return type === undefined ? [] : [{ memberId, alarm: type }];
    });
  }

  alarms(options?: CallOptions): Promise<Alarm[]> {
    return this.#alarm(actions.get, undefined, 0n, options);
  }

  async activateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    const { header } = await this.#endpoints.unary<{ header?: WireHeader & { memberId: bigint } }>(
      this.#method('Status'),
      {},
      { ...options, repeatable: true },
    );
    await this.#alarm(actions.activate, alarm, header?.memberId ?? 0n, options);
    return this.alarms(options);
  }

  async deactivateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    for (const raised of await this.alarms(options)) {
      if (raised.alarm === alarm) await this.#alarm(actions.deactivate, alarm, raised.memberId, options);
    }
    return this.alarms(options);
  }

  async defragment(options?: CallOptions): Promise<void> {
    const more = { ...options, repeatable: true, timeoutMs: wholeStoreMs };
    await this.#endpoints.unary(this.#method('Defragment'), {}, more);
  }

  async hashKv(revision: number, options?: CallOptions): Promise<HashKvResponse> {
    const answer = await this.#endpoints.unary<{
      header?: WireHeader;
      hash: number;
      compactRevision: bigint;
      hashRevision: bigint;
    }>(this.#method('HashKV'), { revision }, { ...options, repeatable: true, timeoutMs: wholeStoreMs });
    const current = revisionOf(answer);
    return {
      hash: answer.hash,
      revision: current,
      // etcd says -1 when it was never compacted.
      compactRevision: Math.max(0, Number(answer.compactRevision)),
      // etcd before 3.6 does not say.
      hashRevision: Number(answer.hashRevision) || (revision > 0 ? revision : current),
    };
  }

  async hash(options?: CallOptions): Promise<{ hash: number; revision: number }> {
    const answer = await this.#endpoints.unary<{ header?: WireHeader; hash: number }>(
      this.#method('Hash'),
      {},
      { ...options, repeatable: true, timeoutMs: wholeStoreMs },
    );
    return { hash: answer.hash, revision: revisionOf(answer) };
  }

  async *snapshot(options?: CallOptions): AsyncGenerator<Uint8Array> {
    const pieces = this.#endpoints.receive<{ blob: Uint8Array }>(this.#method('Snapshot'), {}, options);
    for await (const { blob } of pieces) if (blob.length > 0) yield blob;
  }
}
