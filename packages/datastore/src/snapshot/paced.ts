import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import { RowGoneError } from '../errors.ts';
import type { MeasuredHistory } from '../history/history.ts';
import { streamSnapshot } from './etcd-writer.ts';

/** Whoever takes nothing for so long has gone; compaction waits for them no longer. */
const stallMs = 60_000;
/** Nor for whoever takes it all, but very slowly. */
const wholeMs = 60 * 60_000;

/**
 * The snapshot of a history, as it is asked for. What the history holds back is let go when the snapshot ends, however
 * it ends, and when its receiver is too slow.
 */
export async function* pacedSnapshot(
  open: () => Promise<MeasuredHistory>,
  { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const history = await open();
  let late: string | undefined;
  let stall: ClockTimer | undefined;
  const giveUp = (why: string) => (): void => {
    late = why;
    // The receiver may never ask again.
    stall?.cancel();
    whole.cancel();
    void history.close();
  };
  const whole = clock.setTimeout(
    giveUp(`its receiver took longer than ${wholeMs / 60_000} minutes`),
    wholeMs,
  );
  try {
    for await (const piece of streamSnapshot(history)) {
      stall = clock.setTimeout(giveUp(`its receiver took nothing for ${stallMs / 1000} s`), stallMs);
      yield piece;
      stall.cancel();
      if (signal?.aborted) throw new EtcdError(grpcCode.canceled, 'context canceled', signal.reason);
      if (late !== undefined) {
        throw new EtcdError(
          grpcCode.unavailable,
          `etcdserver: the snapshot was given up, because ${late} and compaction waits for it: take it again`,
        );
      }
    }
  } catch (error) {
    if (!(error instanceof RowGoneError)) throw error;
    throw new EtcdError(
      grpcCode.unavailable,
      'etcdserver: another server compacted while the snapshot was taken: take it again',
      error,
    );
  } finally {
    stall?.cancel();
    whole.cancel();
    await history.close();
  }
}
