import type { Logger } from '@cloudless/kube/logger';
import type { Peer, RequestHandler } from './request.ts';
import { servFailFor } from './serv-fail.ts';

/** Messages of one answer that a thread has and its client has not taken yet. */
const messagesAhead = 4;
/** Nobody waits longer for an answer by UDP. */
const udpMs = 5000;

interface UnderWay {
  readonly abort: AbortController;
  ahead: number;
  wake: () => void;
}

/** The main side of requests that serving threads hand over: one desk for each thread. */
export class RequestDesk {
  readonly #handle: RequestHandler;
  readonly #send: (request: number, message: Uint8Array | undefined) => void;
  readonly #log: Logger;
  readonly #underWay = new Map<number, UnderWay>();

  constructor(
    handle: RequestHandler,
    send: (request: number, message: Uint8Array | undefined) => void,
    log: Logger,
  ) {
    this.#handle = handle;
    this.#send = send;
    this.#log = log;
  }

  begin(request: number, bytes: Uint8Array, peer: Peer): void {
    const underWay: UnderWay = { abort: new AbortController(), ahead: 0, wake: () => {} };
    this.#underWay.set(request, underWay);
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    void this.#run(request, message, peer, underWay);
  }

  taken(request: number): void {
    const underWay = this.#underWay.get(request);
    if (!underWay) return;
    underWay.ahead -= 1;
    underWay.wake();
  }

  /** The client is gone. */
  gone(request: number): void {
    this.#underWay.get(request)?.abort.abort();
  }

  /** The thread is gone, with all its clients. */
  allGone(): void {
    for (const { abort } of this.#underWay.values()) abort.abort();
    this.#underWay.clear();
  }

  async #run(request: number, message: Buffer, peer: Peer, underWay: UnderWay): Promise<void> {
    const { signal } = underWay.abort;
    const isUdp = peer.transport === 'udp';
    const late = isUdp ? setTimeout(() => underWay.abort.abort(), udpMs) : undefined;
    signal.addEventListener('abort', () => underWay.wake());
    try {
      const answer = this.#handle({ message, peer, signal });
      if (Symbol.asyncIterator in answer) {
        for await (const part of answer) {
          if (signal.aborted) break;
          this.#send(request, part);
          // By UDP an answer is one message.
          if (isUdp) break;
          underWay.ahead += 1;
          while (underWay.ahead >= messagesAhead && !signal.aborted)
            await new Promise<void>((resolve) => (underWay.wake = resolve));
        }
      } else {
        const only = await answer;
        if (only) this.#send(request, only);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#log.error({ err: error, peer: peer.address }, 'a DNS request could not be answered');
        this.#send(request, servFailFor(message));
      }
    } finally {
      clearTimeout(late);
      if (this.#underWay.get(request) === underWay) {
        this.#underWay.delete(request);
        this.#send(request, undefined);
      }
    }
  }
}
