/**
 * Sessions of BFD for who needs to know within milliseconds that a path is dead. All of them share one thread, which
 * starts with the first and ends with the last.
 *
 * ```ts
 * await using session = startBfdSession({ localAddress: '192.0.2.1', peerAddress: '192.0.2.254', multihop: false, profile, log });
 * session.subscribe((state, diagnostic) => console.log(state, diagnostic));
 * ```
 */
import { type Clock, systemClock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { BfdProfile } from '../config/config.ts';
import type { BfdCounters, BfdEnds, BfdSession, BfdState } from './bfd.ts';
import { acquireThread, type BfdThread } from './thread/thread.ts';

export interface BfdSessionOptions extends BfdEnds {
  readonly profile: BfdProfile;
  readonly log: Logger;
  readonly clock?: Clock;
}

/**
 * Starts a session: it is `Down` until the peer answers, and tries until it is stopped. What fails is logged, nothing is
 * thrown. `stop` tells the peer that this is somebody's will.
 */
export function startBfdSession(options: BfdSessionOptions): BfdSession {
  return new Session(options);
}

class Session implements BfdSession {
  readonly #thread: BfdThread;
  readonly #id: number;
  readonly #listeners = new Set<(state: BfdState, diagnostic: string) => void>();
  readonly #log: Logger;
  readonly #packets = new SharedArrayBuffer(8);
  #ups = 0;
  #downs = 0;
  #state: BfdState = 'Down';
  #ended: Promise<void> | undefined;

  constructor({ profile, localAddress, peerAddress, multihop, log, clock = systemClock }: BfdSessionOptions) {
    this.#log = log.child({ peer: peerAddress, local: localAddress });
    this.#thread = acquireThread(log, clock);
    this.#id = this.#thread.add(
      {
        localAddress,
        peerAddress,
        multihop,
        timing: {
          receiveIntervalMs: profile.receiveIntervalMs,
          transmitIntervalMs: profile.transmitIntervalMs,
          detectMultiplier: profile.detectMultiplier,
          passive: profile.passiveMode,
        },
        minimumTtl: profile.minimumTtl,
        packets: this.#packets,
      },
      {
        state: (state, diagnostic) => this.#become(state, diagnostic),
        problem: (problem) => this.#log.warn({ reason: problem }, 'BFD cannot watch this peer yet'),
      },
    );
  }

  get state(): BfdState {
    return this.#state;
  }

  counters(): BfdCounters {
    const [packetsReceived = 0, packetsSent = 0] = new Uint32Array(this.#packets);
    return { packetsReceived, packetsSent, ups: this.#ups, downs: this.#downs };
  }

  subscribe(listener: (state: BfdState, diagnostic: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #become(state: BfdState, diagnostic: string): void {
    if (state === this.#state) return;
    const wasUp = this.#state === 'Up';
    this.#state = state;
    if (state === 'Up') this.#ups += 1;
    else if (wasUp) this.#downs += 1;
    if (state === 'Up') this.#log.info('BFD session up');
    else if (wasUp && state === 'Down') this.#log.warn({ diagnostic }, 'BFD session down');
    for (const listener of this.#listeners) listener(state, diagnostic);
  }

  stop(): Promise<void> {
    return (this.#ended ??= this.#stop());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    await this.#thread.remove(this.#id);
    this.#listeners.clear();
    this.#state = 'AdminDown';
    await this.#thread.release();
  }
}
