import { randomBytes } from 'node:crypto';
import { rrType } from '../wire/types.ts';
import { writeName } from '../wire/name.ts';
import type { ForwardedQuestion } from './question.ts';
import type { Upstream } from './upstream.ts';

/**
 * Finds forwarding loops as CoreDNS's plugin `loop` does: a name that nobody else can know is asked of a server, as HINFO;
 * when the question comes in here, that server leads back.
 */
export class LoopWatch {
  readonly #open = new Map<string, () => void>();

  /** Whether a question (name in lower case) is one of our own. It must not be forwarded again. */
  isOwn(name: string, type: number): boolean {
    if (type !== rrType.HINFO || this.#open.size === 0) return false;
    const label = name.slice(0, name.indexOf('.') < 0 ? undefined : name.indexOf('.'));
    const seen = this.#open.get(label);
    seen?.();
    return seen !== undefined;
  }

  /** Watches for a label; returns the function that ends it. */
  watch(label: string, seen: () => void): () => void {
    this.#open.set(label, seen);
    return () => this.#open.delete(label);
  }
}

/** Whether `upstream` leads back here. Never rejects; a server that does not answer leads nowhere. */
export async function probeForLoop(watch: LoopWatch, upstream: Upstream, zone: string): Promise<boolean> {
  const label = randomBytes(16).toString('hex');
  let isLoop = false;
  const end = watch.watch(label, () => (isLoop = true));
  const name = writeName(zone === '' ? label : `${label}.${zone}`);
  const question: ForwardedQuestion = {
    bytes: Buffer.concat([name, Buffer.of(0, rrType.HINFO, 0, 1)]),
    recursionDesired: true,
    checkingDisabled: false,
    dnssecOk: false,
  };
  try {
    await upstream.ask(question, 'udp', { randomCase: false });
  } catch {
    // Silence says nothing about loops.
  } finally {
    end();
  }
  return isLoop;
}
