import { Worker } from 'node:worker_threads';
import type { Body, ReadYaml } from '../request/body.ts';
import { isLong, isYamlText } from '../request/decoder.ts';

/** Enough for the largest manifests; more is what bombs want. */
const heapMegabytes = 256;

/** Whether a body is YAML, or JSON that says to be, and longer than what is read at once. */
export function isLongYaml(body: Body): boolean {
  if (body.type !== 'bytes' || !isLong(body.bytes)) return false;
  if (body.mediaType === 'application/yaml') return true;
  return body.mediaType === 'application/apply-patch+yaml' && isYamlText(body.bytes);
}

/**
 * Reads long YAML texts on a thread of its own, one after another, while the server goes on: the reader takes one to two
 * seconds for a megabyte. The thread lives as long as
 * there is something to read.
 */
export class YamlThread {
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<number, (read: ReadYaml) => void>();
  #worker: Worker | undefined;
  #next = 0;

  /** `signal` ends the thread with its server. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => void this.#end('the server is stopping'), { once: true });
  }

  read(bytes: Uint8Array): Promise<ReadYaml> {
    if (this.#signal.aborted) return Promise.resolve({ failure: 'the server is stopping' });
    const worker = (this.#worker ??= this.#start());
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ id, bytes });
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./yaml-worker.ts', import.meta.url), {
      name: 'yaml',
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    });
    worker.on('message', ({ id, read }: { id: number; read: ReadYaml }) => {
      const resolve = this.#waiting.get(id);
      this.#waiting.delete(id);
      resolve?.(read);
      if (this.#waiting.size === 0 && this.#worker === worker) void this.#end('');
    });
    // A text that does not fit ends the thread, and with it what was to be read after it.
    worker.on('error', () => {
      if (this.#worker === worker) void this.#end('yaml: the document needs too much memory to be read');
    });
    return worker;
  }

  async #end(failure: string): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    for (const resolve of this.#waiting.values()) resolve({ failure });
    this.#waiting.clear();
    await worker?.terminate();
  }
}
