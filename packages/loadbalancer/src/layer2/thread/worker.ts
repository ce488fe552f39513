/** The layer-2 thread: runs until told to stop; nothing in it is asynchronous. An error ends it, and it is started anew. */
import { parentPort, workerData } from 'node:worker_threads';
import { bootTimeMs, libc } from '@cloudless/kube/native/libc';
import { runFirst } from '@cloudless/kube/native/thread-priority';
import { Announcer } from '../announcer.ts';
import { Decisions } from './decisions.ts';
import { type Elector, type ElectorContext, MemberElector } from './elector.ts';
import { HeartbeatElector } from './heartbeat-elector.ts';
import { Loop, type LoopPart } from '@cloudless/kube/native/loop';
import { Mailbox } from '@cloudless/kube/native/mailbox';
import type { Command, Report, ThreadData } from './messages.ts';

const data = workerData as ThreadData;
const port = parentPort;
if (port === null) throw new Error('the layer-2 thread is started by startLayer2');

const report = (message: Report): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
};

/** Counters go to the main side at most so often. */
const countersEveryMs = 1000;

/** Sends what was counted. */
function countersPart(announcer: Announcer, loop: Loop): LoopPart {
  let sentMs = loop.nowMs;
  const none: readonly number[] = [];
  return {
    fds: () => none,
    readable() {},
    nextDeadlineMs: () => (announcer.counters.changed ? sentMs + countersEveryMs : Infinity),
    deadline(nowMs) {
      sentMs = nowMs;
      report({ kind: 'counters', counters: announcer.counters.takeChanged() });
    },
    frozen(gapMs) {
      log('warn', 'the layer-2 thread did not run for a while', { gapMs: Math.round(gapMs) });
    },
  };
}

/** Sends what heartbeats counted, as the main side's metrics have it. */
function heartbeatsPart(heartbeats: HeartbeatElector, loop: Loop): LoopPart {
  let dueMs = loop.nowMs;
  let sent = '';
  const none: readonly number[] = [];
  return {
    fds: () => none,
    readable() {},
    nextDeadlineMs: () => dueMs,
    deadline(nowMs) {
      dueMs = nowMs + countersEveryMs;
      const text = JSON.stringify(heartbeats.report());
      if (text !== sent) report({ kind: 'heartbeats', report: heartbeats.report() });
      sent = text;
    },
    frozen() {},
  };
}

function makeElector(context: ElectorContext): Elector {
  if (data.heartbeat === undefined) return new MemberElector();
  const heartbeats = new HeartbeatElector(context, data.heartbeat);
  loop.add(heartbeatsPart(heartbeats, loop));
  return heartbeats;
}

const loop = new Loop({
  nowMs: bootTimeMs,
  poll: (fds, count, timeoutMs) => libc().poll(fds, count, timeoutMs),
});
const log: ElectorContext['log'] = (level, message, fields = {}) =>
  report({ kind: 'log', level, message, fields });
const reason = runFirst();
if (reason !== undefined) log('debug', 'the layer-2 thread keeps its priority', { reason });
const announcer = new Announcer({
  checkpoint: () => loop.checkpoint(),
  nowMs: () => loop.nowMs,
  exclude: new RegExp(data.exclude),
  log,
  heardFrame: (interfaceName) => elector.heardFrame?.(interfaceName, loop.nowMs) ?? true,
  mayAnnounce: () => elector.mayAnnounce?.(loop.nowMs) ?? true,
  heardClaim: (address, mac, interfaceName) => elector.heardClaim?.(address, mac, interfaceName, loop.nowMs),
  groupsChanged: (links) => report({ kind: 'groups', links }),
  retire: (fds) => report({ kind: 'retired', fds }),
  interfacesChanged: () => decisions.changed(),
});
const elector = makeElector({
  nodeName: data.nodeName,
  nowMs: () => loop.nowMs,
  changed: () => decisions.changed(),
  interfacesFor: (address) => announcer.interfacesFor(address),
  interfaceWith: (address) => announcer.interfaceWith(address),
  lastFrameMs: (interfaceName) => announcer.lastFrameMs(interfaceName),
  announce: (address) => announcer.announce(address),
  log,
});
const decisions: Decisions = new Decisions({
  nodeName: data.nodeName,
  elector,
  announcing: announcer,
  nowMs: () => loop.nowMs,
  wallClockMs: () => Date.now(),
  report: (changed, gone) => report({ kind: 'ownerships', changed, gone }),
});
loop.add(
  new Mailbox<Command>({
    port,
    wakeFd: data.wakeFd,
    stopFlag: data.stopFlag,
    obey(command) {
      if (command.kind === 'plans') decisions.setPlans(command.plans);
      else if (command.kind === 'members') decisions.setMembers(command.members);
      else if (elector instanceof HeartbeatElector) elector.rebalance();
    },
    stop: () => loop.stop(),
  }),
);
for (const part of [elector, decisions, announcer, countersPart(announcer, loop)]) loop.add(part);
decisions.setMembers(data.members);
decisions.setPlans(data.plans);
report({ kind: 'ready' });
try {
  loop.run();
} finally {
  elector.close();
  announcer.close();
}
