import { type CallOptions, EtcdError, grpcCode } from '@cloudless/kube/etcd/store';

/** What a caller that gave up is told, as Go says it. */
export function canceled(signal: AbortSignal): EtcdError {
  return new EtcdError(grpcCode.canceled, 'context canceled', signal.reason);
}

/** The value, or a rejection as soon as the caller gives up. A write may still be made then. */
export async function abortable<T>(value: T | Promise<T>, options: CallOptions | undefined): Promise<T> {
  const signal = options?.signal;
  if (!(value instanceof Promise) || signal === undefined) return value;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(canceled(signal));
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([value, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
