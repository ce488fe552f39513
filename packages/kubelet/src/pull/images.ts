import type { Clock } from '@cloudless/kube/clock';
import type { Container, Pod, Secret } from '@cloudless/kube/types/core-v1';
import { CriError } from '../cri/error.ts';
import type { AuthConfig, Image, Init } from '../cri/generated/types.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { backoffUntilMs, type BackoffEntry, goDuration, raiseBackoff } from '../sync/backoff.ts';
import { credentialsFor } from './credentials.ts';
import { InvalidImageName, pullPolicyOf, withDefaultTag } from './reference.ts';

export type ImageReason =
  | 'InvalidImageName'
  | 'ImageInspectError'
  | 'ErrImageNeverPull'
  | 'ErrImagePull'
  | 'ImagePullBackOff';

/** No image for a container; `reason` and `message` are its waiting state. */
export class ImageError extends Error {
  readonly reason: ImageReason;
  /** When another try is allowed. */
  readonly retryAtMs: number | undefined;

  constructor(
    reason: ImageReason,
    message: string,
    options: { retryAtMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ImageError';
    this.reason = reason;
    this.retryAtMs = options.retryAtMs;
  }
}

export type PullEvent = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

export interface ImageRequest {
  pod: Pod;
  container: Container;
  /** Those of the pod's imagePullSecrets that exist. */
  secrets: () => Promise<readonly Secret[]>;
  event: PullEvent;
  signal: AbortSignal;
}

/** Gets images onto the node by policy, one pull of an image at a time, with back-off after failures. */
export class Images {
  readonly #cri: CriRuntime;
  readonly #clock: Clock;
  readonly #serial: boolean;
  readonly #backoff = new Map<string, BackoffEntry>();
  readonly #failedAtMs = new Map<string, { atMs: number; message: string }>();
  readonly #pulling = new Map<string, Promise<string>>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: { cri: CriRuntime; clock: Clock; serializePulls: boolean }) {
    this.#cri = options.cri;
    this.#clock = options.clock;
    this.#serial = options.serializePulls;
  }

  /** The image's description; throws {@link ImageError} (upstream: images/image_manager.go EnsureImageExists). */
  async ensure(request: ImageRequest): Promise<Image> {
    const name = this.#name(request);
    const policy = pullPolicyOf(request.container);
    const present = await this.#inspect(request, name);
    if (present && policy !== 'Always') {
      request.event(
        'Normal',
        'Pulled',
        `Container image "${request.container.image}" already present on machine`,
      );
      return present;
    }
    if (policy === 'Never') {
      const message = `Container image "${request.container.image}" is not present with pull policy of Never`;
      request.event('Warning', 'ErrImageNeverPull', message);
      throw new ImageError('ErrImageNeverPull', message);
    }
    await this.#pull(request, name);
    const pulled = await this.#inspect(request, name);
    if (!pulled)
      throw new ImageError('ErrImagePull', `the runtime pulled image "${name}" and does not have it`);
    return pulled;
  }

  #name(request: ImageRequest): string {
    try {
      return withDefaultTag(request.container.image ?? '');
    } catch (error) {
      if (!(error instanceof InvalidImageName)) throw error;
      request.event('Warning', 'InspectFailed', error.message);
      throw new ImageError('InvalidImageName', error.message, { cause: error });
    }
  }

  async #inspect(request: ImageRequest, name: string): Promise<Image | undefined> {
    try {
      return (await this.#cri.imageStatus({ image: { image: name } }, { signal: request.signal })).image;
    } catch (error) {
      if (!(error instanceof CriError)) throw error;
      const message = `Failed to inspect image "${request.container.image}": ${error.text}`;
      request.event('Warning', 'InspectFailed', message);
      throw new ImageError('ImageInspectError', message, { cause: error });
    }
  }

  async #pull(request: ImageRequest, name: string): Promise<void> {
    const key = `${request.pod.metadata.uid}_${name}`;
    this.#holdBack(request, key);
    const shown = request.container.image ?? '';
    request.event('Normal', 'Pulling', `Pulling image "${shown}"`);
    const startMs = this.#clock.monotonicMs();
    try {
      const pull = await this.#pullOnce(name, request);
      const tookMs = this.#clock.monotonicMs() - startMs;
      this.#backoff.delete(key);
      this.#failedAtMs.delete(key);
      const image = (
        await this.#cri.imageStatus({ image: { image: pull.imageRef } }, { signal: request.signal })
      ).image;
      request.event(
        'Normal',
        'Pulled',
        `Successfully pulled image "${shown}" in ${duration(pull.tookMs)} (${duration(tookMs)} including waiting). Image size: ${image?.size ?? 0n} bytes.`,
      );
    } catch (error) {
      if (request.signal.aborted || !(error instanceof CriError)) throw error;
      const nowMs = this.#clock.nowMs();
      this.#backoff.set(key, raiseBackoff(this.#backoff.get(key), nowMs, nowMs));
      const message = `failed to pull image "${shown}": ${error.text}`;
      this.#failedAtMs.set(key, { atMs: nowMs, message });
      request.event('Warning', 'Failed', `Failed to pull image "${shown}": ${error.text}`);
      throw new ImageError('ErrImagePull', error.text, {
        cause: error,
        retryAtMs: nowMs,
      });
    }
  }

  #holdBack(request: ImageRequest, key: string): void {
    const failed = this.#failedAtMs.get(key);
    if (!failed) return;
    const untilMs = backoffUntilMs(this.#backoff.get(key), failed.atMs);
    if (untilMs <= this.#clock.nowMs()) return;
    const message = `Back-off pulling image "${request.container.image}"`;
    request.event('Normal', 'BackOff', message);
    throw new ImageError('ImagePullBackOff', `${message}: ErrImagePull: ${failed.message}`, {
      retryAtMs: untilMs,
    });
  }

  /** Pods that want the same image share one pull; their own credentials were tried by whoever came first. */
  async #pullOnce(name: string, request: ImageRequest): Promise<{ imageRef: string; tookMs: number }> {
    const startMs = this.#clock.monotonicMs();
    const auths = credentialsFor(name, await request.secrets());
    const key = `${name} ${JSON.stringify(auths)}`;
    let pull = this.#pulling.get(key);
    if (!pull) {
      pull = this.#inTurn(() => this.#tryEach(name, auths)).finally(() => this.#pulling.delete(key));
      this.#pulling.set(key, pull);
    }
    // The pull goes on for others, and for next time, though this pod may be gone.
    const imageRef = await orAborted(pull, request.signal);
    return { imageRef, tookMs: this.#clock.monotonicMs() - startMs };
  }

  #inTurn(run: () => Promise<string>): Promise<string> {
    if (!this.#serial) return run();
    const turn = this.#queue.then(run, run);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #tryEach(name: string, auths: Array<Init<AuthConfig>>): Promise<string> {
    let last: unknown;
    for (const auth of [...auths, undefined]) {
      if (auth === undefined && auths.length > 0) break;
      try {
        const { imageRef } = await this.#cri.pullImage({ image: { image: name }, ...(auth ? { auth } : {}) });
        return imageRef;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }
}

const duration = (ms: number): string => goDuration(Math.max(1, Math.round(ms)));

/** The promise's outcome, or a rejection as soon as `signal` aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
