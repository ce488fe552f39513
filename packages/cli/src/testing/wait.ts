import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';

export interface WaitOptions {
  /** Default 10,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** What was waited for did not come in time; the message shows the object as it was last seen. */
export class WaitTimeoutError extends Error {
  /** The object's last state; undefined when it was not there. */
  readonly last: KubeObject | undefined;

  constructor(message: string, last: KubeObject | undefined, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WaitTimeoutError';
    this.last = last;
  }
}

/** Whether the object is as it should be. One that throws (an assertion) is not, yet. */
export type Condition<T> = (object: T) => unknown;

export interface Target<T extends KubeObject> {
  client: KubeClient;
  clock: Clock;
  resource: Resource<T>;
  namespace: string | undefined;
  name: string;
}

const defaultTimeoutMs = 10_000;

/** Follows one object by a watch until `done` accepts its state (undefined: it is not there). */
async function follow<T extends KubeObject>(
  { client, clock, resource, namespace, name }: Target<T>,
  what: string,
  done: (object: T | undefined) => boolean,
  options: WaitOptions,
): Promise<T | undefined> {
  const { timeoutMs = defaultTimeoutMs, signal } = options;
  signal?.throwIfAborted();
  let last: T | undefined;
  let cause: unknown;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (object: T | undefined): void => {
    last = object;
    try {
      cause = undefined;
      if (done(object)) resolve();
    } catch (error) {
      cause = error;
    }
  };
  const informer = startInformer({
    client,
    clock,
    resource,
    namespace,
    fieldSelector: `metadata.name=${name}`,
  });
  informer.addHandler({ add: look, update: look, delete: () => look(undefined) });
  informer.synced.then(
    () => (informer.store.list().length === 0 ? look(undefined) : undefined),
    () => undefined,
  );
  const timer = clock.setTimeout(() => {
    const place = `${groupResourceOf(resource)} ${namespace ? `${namespace}/` : ''}${name}`;
    reject(
      new WaitTimeoutError(
        `${place}: not ${what} within ${timeoutMs} ms; ${shown(last, cause)}`,
        last,
        cause,
      ),
    );
  }, timeoutMs);
  const abort = (): void => reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await promise;
    return last;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', abort);
    await informer.stop();
  }
}

function shown(last: KubeObject | undefined, cause: unknown): string {
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  if (!last) return `there is none${why}`;
  const { status, metadata } = last as KubeObject & { status?: unknown };
  const deleting = metadata.deletionTimestamp
    ? `, being deleted (finalizers: ${metadata.finalizers?.join(', ') || 'none'})`
    : '';
  return `its status is ${JSON.stringify(status)}${deleting}${why}`;
}

/** The object once it is there and `condition` holds; a text is the type of a condition in its status that is True. */
export async function waitUntil<T extends KubeObject>(
  target: Target<T>,
  condition: Condition<T> | string,
  options: WaitOptions = {},
): Promise<T> {
  const holds = typeof condition === 'string' ? conditionIsTrue(condition) : condition;
  const what = typeof condition === 'string' ? condition : 'as it should be';
  return (await follow(
    target,
    what,
    (object) => {
      if (!object) return false;
      const answer = holds(object);
      // A function that only asserts answers nothing.
      return answer === undefined || answer === true;
    },
    options,
  )) as T;
}

/** Resolves once the object is not there. */
export async function waitUntilGone<T extends KubeObject>(
  target: Target<T>,
  options: WaitOptions = {},
): Promise<void> {
  await follow(target, 'gone', (object) => object === undefined, options);
}

const conditionIsTrue =
  (wanted: string) =>
  (object: KubeObject): boolean =>
    (
      (object as { status?: { conditions?: Array<{ type: string; status: string }> } }).status?.conditions ??
      []
    ).some(({ type, status }) => type === wanted && status === 'True');
