/** A thread that serves UDP by calls of its own: runs until told to stop; nothing in it is asynchronous. */
import { parentPort, workerData } from 'node:worker_threads';
import { bootTimeMs, libc, linux } from '@cloudless/kube/native/libc';
import { Loop, type LoopPart } from '@cloudless/kube/native/loop';
import type { LoopThreadData } from '@cloudless/kube/native/loop-thread';
import { Mailbox } from '@cloudless/kube/native/mailbox';
import { handOver } from '../../authoritative/thread.ts';
import { Client, peerOf } from '../client.ts';
import type { ThreadCommand, ThreadReport, UdpThreadData } from './messages.ts';
import { ServingThread } from './serving-thread.ts';
import { batchSize, UdpBatch } from './udp-batch.ts';
import { UdpRequests } from './udp-requests.ts';

const data = workerData as UdpThreadData & LoopThreadData;
const port = parentPort;
if (port === null) throw new Error('the UDP thread is started by startDnsServer');
const report = (message: ThreadReport): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
};

/** Batches of one socket in a row, before other sockets and commands have their turn. */
const batchesInTurn = 8;

const thread = new ServingThread(data, report);
const requests = new UdpRequests<{ fd: number; address: Buffer }>(report);
const batch = new UdpBatch();
const client = new Client();

function serve(fd: number): void {
  for (let i = 0; i < batchesInTurn; i++) {
    const count = batch.receive(fd);
    if (count === 0) return;
    const beginMs = thread.authority.tick();
    for (let j = 0; j < count; j++) answer(fd, j, beginMs);
    const failed = batch.send(fd);
    for (let j = 0; j < failed; j++) thread.counters.event('sendFailed');
    thread.counters.duration((thread.authority.tick() - beginMs) / 1000, count);
    if (count < batchSize) return;
  }
}

function answer(fd: number, i: number, nowMs: number): void {
  const start = batch.inputAt(i);
  const end = start + batch.inputLength(i);
  batch.readClient(i, client);
  const length = thread.respond(batch.bytes, start, end, client, batch.bytes, batch.nextOutput);
  if (length === handOver) {
    const where = { fd, address: batch.socketAddress(i) };
    const isTaken = requests.ask(batch.bytes.subarray(start, end), peerOf(client), where, nowMs);
    thread.counters.event(isTaken ? 'handedOver' : 'handOverRefused');
    return;
  }
  if (thread.queryLog.isOn)
    thread.queryLog.add(
      batch.bytes.subarray(start, end),
      client,
      thread.authority.lastRcode,
      length,
      loop.nowMs,
    );
  if (length > 0) batch.reply(i, length);
}

function sendAnswer(request: number, message: Uint8Array | undefined): void {
  const where = requests.take(request);
  if (!where || !message) return;
  const { fd, address } = where;
  const sent = libc().sendto(fd, message, message.length, linux.MSG_DONTWAIT, address, address.length);
  if (sent < 0) thread.counters.event('sendFailed');
}

const loop = new Loop(
  { nowMs: bootTimeMs, poll: (fds, count, timeoutMs) => libc().poll(fds, count, timeoutMs) },
  { looksForFreezes: false },
);
const sockets: LoopPart = {
  fds: () => data.fds,
  readable: serve,
  nextDeadlineMs: () => thread.queryLog.dueMs,
  deadline: (nowMs) => thread.queryLog.flush(nowMs),
  frozen() {},
};
loop.add(
  new Mailbox<ThreadCommand>({
    port,
    wakeFd: data.wakeFd,
    stopFlag: data.stopFlag,
    obey(command) {
      if (thread.obey(command)) return;
      if (command.kind === 'answer') sendAnswer(command.request, command.message);
    },
    stop: () => loop.stop(),
  }),
);
loop.add(sockets);
report({ kind: 'listening', port: data.port, tlsPort: undefined });
loop.run();
