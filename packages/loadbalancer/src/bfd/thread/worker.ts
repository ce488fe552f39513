/** The thread of BFD: a pause of the main thread, for garbage or work, must not look like a dead node. */
import { parentPort, workerData } from 'node:worker_threads';
import { Loop } from '@cloudless/kube/native/loop';
import type { LoopThreadData } from '@cloudless/kube/native/loop-thread';
import { Mailbox } from '@cloudless/kube/native/mailbox';
import { bootTimeMs, libc } from '@cloudless/kube/native/libc';
import { runFirst } from '@cloudless/kube/native/thread-priority';
import type { BfdCommand } from './messages.ts';
import { BfdSessions, realSockets } from './sessions.ts';

const { wakeFd, stopFlag } = workerData as LoopThreadData;
const port = parentPort;
if (port === null) throw new Error('the thread of BFD is started by startBfdSession');

runFirst();
const loop = new Loop({
  nowMs: bootTimeMs,
  poll: (fds, count, timeoutMs) => libc().poll(fds, count, timeoutMs),
});
const sessions = new BfdSessions({
  sockets: realSockets,
  nowMs: bootTimeMs,
  random: Math.random,
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  report: (report) => port.postMessage(report),
});
loop.add(
  new Mailbox<BfdCommand>({
    port,
    wakeFd,
    stopFlag,
    obey(command) {
      if (command.kind === 'add') sessions.add(command.session);
      else sessions.remove(command.id);
    },
    stop: () => loop.stop(),
  }),
);
loop.add(sessions);
try {
  loop.run();
} finally {
  sessions.close();
}
