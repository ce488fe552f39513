import type { Alarm, AlarmType } from '@cloudless/kube/etcd/maintenance';
import type { Datastore } from '../../datastore.ts';
import type { Header } from '../codec/responses.ts';
import type { Method, SendingStream } from '../grpc/method.ts';
import { serverVersion, storageVersion } from '../version.ts';
import { decoder, encoder, wireHeader } from './messages.ts';

/** etcd's AlarmType; 0 is none of them. */
const alarmNumbers: Record<AlarmType, number> = { nospace: 1, corrupt: 2 };
const alarmTypes: Record<number, AlarmType> = { 1: 'nospace', 2: 'corrupt' };
const alarmAction = { get: 0, activate: 1, deactivate: 2 } as const;

/** etcdserverpb.Maintenance, but for what has no meaning here (unsupported.ts). */
export function maintenanceService(store: Datastore, header: Header): Record<string, Method> {
  const hashKvRequest = decoder<{ revision: bigint }>('HashKVRequest');
  const hashedKv = encoder('HashKVResponse');
  const hashed = encoder('HashResponse');
  const defragmented = encoder('DefragmentResponse');
  return {
    Status: statusMethod(store, header),
    Alarm: alarmMethod(store, header),
    Defragment: {
      type: 'unary',
      async call() {
        await store.defragment();
        return defragmented({ header: wireHeader(header, store.revision) });
      },
    },
    Hash: {
      type: 'unary',
      async call() {
        const { hash, revision } = await store.hash();
        return hashed({ header: wireHeader(header, revision), hash });
      },
    },
    HashKV: {
      type: 'unary',
      async call(request) {
        const answer = await store.hashKv(Number(hashKvRequest(request).revision));
        return hashedKv({
          header: wireHeader(header, answer.revision),
          hash: answer.hash,
          // etcd's number for a store that was never compacted.
          compactRevision: answer.compactRevision === 0 ? -1 : answer.compactRevision,
          hashRevision: answer.hashRevision,
        });
      },
    },
    Snapshot: { type: 'server-stream', call: (_request, stream) => sendSnapshot(store, header, stream) },
  };
}

function statusMethod(store: Datastore, header: Header): Method {
  const status = encoder('StatusResponse');
  return {
    type: 'unary',
    async call() {
      const { revision, dbSizeBytes, dbSizeInUseBytes } = await store.status();
      return status({
        header: wireHeader(header, revision),
        version: serverVersion,
        dbSize: dbSizeBytes,
        dbSizeInUse: dbSizeInUseBytes,
        dbSizeQuota: Number.isFinite(store.quotaBytes) ? store.quotaBytes : 0,
        leader: header.memberId,
        raftTerm: header.raftTerm,
        raftIndex: revision,
        raftAppliedIndex: revision,
        storageVersion: `${storageVersion}.0`,
        downgradeInfo: { enabled: false },
        // As Go prints an AlarmMember.
        errors: [...store.raisedAlarms].map(
          (alarm) => `memberID:${header.memberId} alarm:${alarm.toUpperCase()} `,
        ),
      });
    },
  };
}

function alarmMethod(store: Datastore, header: Header): Method {
  const alarmRequest = decoder<{ action: number; memberID: bigint; alarm: number }>('AlarmRequest');
  const answer = encoder('AlarmResponse');
  const answerWith = (alarms: readonly Alarm[]): Buffer =>
    answer({
      header: wireHeader(header, store.revision),
      alarms: alarms.map(({ memberId, alarm }) => ({ memberID: memberId, alarm: alarmNumbers[alarm] })),
    });
  return {
    type: 'unary',
    async call(request) {
      const { action, memberID, alarm: number } = alarmRequest(request);
      const alarm = alarmTypes[number];
      if (action === alarmAction.get) {
        const raised = await store.alarms();
        return answerWith(alarm === undefined ? raised : raised.filter((one) => one.alarm === alarm));
      }
      // There is one member: an alarm of another one cannot be raised, and is not.
      if (alarm === undefined || (memberID !== 0n && memberID !== header.memberId)) return answerWith([]);
      const wasRaised = store.raisedAlarms.has(alarm);
      if (action === alarmAction.activate) await store.activateAlarm(alarm);
      else if (action === alarmAction.deactivate) await store.deactivateAlarm(alarm);
      const told = action === alarmAction.activate || wasRaised;
      return answerWith(told ? [{ memberId: header.memberId, alarm }] : []);
    },
  };
}

/** Bytes of one message of a snapshot; etcd takes 32 KiB. */
const blobBytes = 256 * 1024;

/** The snapshot at the pace of its receiver. How long it will be is not told: 1 until the last message. */
async function sendSnapshot(store: Datastore, header: Header, stream: SendingStream): Promise<void> {
  const piece = encoder('SnapshotResponse');
  const fixed = { header: wireHeader(header, store.revision), version: `${storageVersion}.0` };
  let last: Uint8Array | undefined;
  const send = (blob: Uint8Array, remainingBytes: number): Promise<void> | undefined =>
    stream.send(piece({ ...fixed, blob, remainingBytes }));
  for await (const bytes of store.snapshot({ signal: stream.signal })) {
    // The checksum at the end must come in a message of its own.
    if (last !== undefined) for (const blob of pieces(last)) await send(blob, 1);
    if (stream.signal.aborted) return;
    last = bytes;
  }
  if (last !== undefined) await send(last, 0);
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += blobBytes) yield bytes.subarray(at, at + blobBytes);
}
