// The lean client in a process of its own: what else the bench holds in memory (a store, hundreds of megabytes) would
// make its garbage collector a part of what is measured. `node lean-process.ts URL`, started by `startLean`.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { leanTarget } from './lean-client.ts';
import * as speed from './speed.ts';

const isChild = process.argv[1] === import.meta.filename && process.send !== undefined;

export type Figure =
  | { readonly what: 'puts' | 'gets'; readonly clients: number; readonly forMs: number }
  | { readonly what: 'list'; readonly rounds: number };

export interface Lean {
  /** Calls a second, or milliseconds of a list. */
  take(figure: Figure): Promise<number>;
  stop(): Promise<void>;
}

export async function startLean(url: string): Promise<Lean> {
  const child = fork(import.meta.filename, [url]);
  const exited = once(child, 'exit');
  await once(child, 'message');
  return {
    async take(figure) {
      child.send(figure);
      const [answer] = (await once(child, 'message')) as [{ value?: number; error?: string }];
      if (answer.value === undefined) throw new Error(answer.error);
      return answer.value;
    },
    async stop() {
      child.disconnect();
      await exited;
    },
  };
}

if (isChild) {
  const target = leanTarget(process.argv[2] as string);
  process.on('message', (figure: Figure) => {
    speed.take(target, figure).then(
      (value) => process.send?.({ value }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.once('disconnect', () => target.close());
  process.send?.('ready');
}
