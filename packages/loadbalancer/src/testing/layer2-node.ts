/**
 * A speaker's layer 2 as a process of its own, for tests in network namespaces: `node layer2-node.ts NAME`. Commands come as
 * lines of JSON, reports go out as lines of JSON; it ends when its input does.
 */
import { createInterface } from 'node:readline';
import type { Worker } from 'node:worker_threads';
import type { AddressPlan } from '../announcement.ts';
import { logger } from '@cloudless/kube/logger';
import type { Member, Ownership } from '../layer2/layer2.ts';
import { startLayer2 } from '../layer2/start.ts';

export type NodeCommand =
  | { readonly kind: 'plans'; readonly plans: readonly AddressPlan[] }
  | { readonly kind: 'members'; readonly members: readonly Member[] }
  /** Blocks the main thread. */
  | { readonly kind: 'stall'; readonly ms: number }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'ownerships' }
  /** Ends the thread as a fault in it would. */
  | { readonly kind: 'end-thread' }
  /** Stops the layer and tells how long that took. */
  | { readonly kind: 'stop' }
  /** Ends the process at once, with the thread running. */
  | { readonly kind: 'exit' };

export type NodeReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ownership'; readonly ownership: Ownership }
  | { readonly kind: 'metrics'; readonly text: string; readonly residentBytes: number }
  | { readonly kind: 'ownerships'; readonly ownerships: readonly Ownership[] }
  | { readonly kind: 'stalled' }
  | { readonly kind: 'stopped'; readonly ms: number };

const report = (message: NodeReport): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

const threads: Worker[] = [];
process.on('worker', (worker: Worker) => threads.push(worker));
const layer2 = await startLayer2({ nodeName: process.argv[2] ?? 'node', log: logger('layer2-node') });
layer2.subscribe((ownership) => report({ kind: 'ownership', ownership }));
report({ kind: 'ready' });
for await (const line of createInterface(process.stdin)) {
  const command = JSON.parse(line) as NodeCommand;
  switch (command.kind) {
    case 'plans':
      layer2.setPlans(command.plans);
      break;
    case 'members':
      layer2.setMembers(command.members);
      break;
    case 'stall':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, command.ms);
      report({ kind: 'stalled' });
      break;
    case 'metrics':
      report({ kind: 'metrics', text: layer2.metrics(), residentBytes: process.memoryUsage().rss });
      break;
    case 'ownerships':
      report({ kind: 'ownerships', ownerships: layer2.ownerships() });
      break;
    case 'end-thread':
      void threads.at(-1)?.terminate();
      break;
    case 'stop': {
      const startMs = performance.now();
      await layer2.stop();
      report({ kind: 'stopped', ms: performance.now() - startMs });
      break;
    }
    case 'exit':
      // oxlint-disable-next-line unicorn/no-process-exit -- what is tested
      process.exit(7);
  }
}
await layer2.stop();
