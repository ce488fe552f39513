import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { libc } from './libc.ts';
import type { LoopPart } from './loop.ts';

/** Commands of a thread's main side: an eventfd wakes the loop, the messages are in the port. */
export class Mailbox<C> implements LoopPart {
  readonly #port: MessagePort;
  readonly #fds: readonly number[];
  readonly #stopFlag: Int32Array;
  readonly #obey: (command: C) => void;
  readonly #stop: () => void;
  readonly #count = new Uint8Array(8);

  constructor(options: {
    port: MessagePort;
    wakeFd: number;
    stopFlag: SharedArrayBuffer;
    obey(this: void, command: C): void;
    stop(this: void): void;
  }) {
    this.#port = options.port;
    this.#fds = [options.wakeFd];
    this.#stopFlag = new Int32Array(options.stopFlag);
    this.#obey = options.obey;
    this.#stop = options.stop;
  }

  fds(): readonly number[] {
    return this.#fds;
  }

  readable(fd: number): void {
    libc().read(fd, this.#count, 8);
    this.#take();
  }

  nextDeadlineMs(): number {
    return Infinity;
  }

  deadline(): void {}

  /** What the main side said meanwhile is newer than what is decided by. */
  frozen(): void {
    this.#take();
  }

  #take(): void {
    if (Atomics.load(this.#stopFlag, 0) === 1) return this.#stop();
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      this.#obey(received.message as C);
    }
  }
}
