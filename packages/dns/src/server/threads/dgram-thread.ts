/** A thread that serves UDP through Node's own sockets, where the machine's C library cannot be called: half as fast. */
import { createSocket, type Socket } from 'node:dgram';
import { parentPort, workerData } from 'node:worker_threads';
import { addressData } from '../../wire/rdata.ts';
import { handOver } from '../../authoritative/thread.ts';
import { Client } from '../client.ts';
import type { ThreadCommand, ThreadReport, UdpThreadData } from './messages.ts';
import { ServingThread } from './serving-thread.ts';
import { UdpRequests } from './udp-requests.ts';

const data = workerData as UdpThreadData;
const port = parentPort;
if (port === null) throw new Error('the UDP thread is started by startDnsServer');
const report = (message: ThreadReport): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
};

interface Sender {
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
}

const thread = new ServingThread(data, report);
const requests = new UdpRequests<Sender>(report);
const client = new Client();
const sockets: Socket[] = [];
const longestAnswer = 1280;

function send({ socket, address, port: to }: Sender, message: Uint8Array): void {
  socket.send(message, to, address, (error) => {
    if (error) thread.counters.event('sendFailed');
  });
}

function answer(message: Buffer, sender: Sender): void {
  const beginMs = thread.authority.tick();
  client.bytes = addressData(sender.address.replace(/%.*$/, ''));
  client.length = client.bytes.length;
  client.port = sender.port;
  // The socket keeps the memory until it is sent.
  const out = Buffer.allocUnsafe(longestAnswer);
  const length = thread.respond(message, 0, message.length, client, out, 0);
  if (length === handOver) {
    const peer = { address: sender.address, port: sender.port, transport: 'udp' } as const;
    const isTaken = requests.ask(message, peer, sender, beginMs);
    thread.counters.event(isTaken ? 'handedOver' : 'handOverRefused');
    return;
  }
  if (thread.queryLog.isOn)
    thread.queryLog.add(message, client, thread.authority.lastRcode, length, performance.now());
  if (length > 0) send(sender, out.subarray(0, length));
  thread.counters.duration((thread.authority.tick() - beginMs) / 1000, 1);
}

async function open(address: string, at: number): Promise<number> {
  const isIpv6 = address.includes(':');
  const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6, reusePort: true });
  sockets.push(socket);
  socket.on('message', (message, from) =>
    answer(message, { socket, address: from.address, port: from.port }),
  );
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(at, address, resolve);
  });
  socket.removeAllListeners('error');
  socket.on('error', () => {});
  return socket.address().port;
}

const flushing = setInterval(() => thread.queryLog.flush(performance.now()), 200);
const close = (): void => {
  clearInterval(flushing);
  for (const socket of sockets.splice(0)) socket.close();
};
port.on('message', (command: ThreadCommand) => {
  if (thread.obey(command)) return;
  if (command.kind === 'answer') {
    const sender = requests.take(command.request);
    if (sender && command.message) send(sender, command.message);
  } else if (command.kind === 'stop') {
    close();
    report({ kind: 'stopped' });
    port.close();
  }
});
try {
  let bound = data.port;
  for (const address of data.addresses) bound = await open(address, bound);
  report({ kind: 'listening', port: bound, tlsPort: undefined });
} catch (error) {
  close();
  const { message, code } = error as NodeJS.ErrnoException;
  report({ kind: 'failed', message, code });
}
