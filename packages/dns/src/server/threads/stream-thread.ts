/** The thread that serves TCP and TLS, through Node's own sockets. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { handOver, keepaliveMs } from '../../authoritative/thread.ts';
import { addressData } from '../../wire/rdata.ts';
import { Client } from '../client.ts';
import { ConnectionLimits } from '../connection-limits.ts';
import type { ServerCertificate } from '../dns-server.ts';
import type { Peer } from '../request.ts';
import { servFailFor } from '../serv-fail.ts';
import { serveTcp } from '../tcp.ts';
import type { StreamThreadData, ThreadCommand, ThreadReport } from './messages.ts';
import { ServingThread } from './serving-thread.ts';
import { StreamRequests } from './stream-requests.ts';

const data = workerData as StreamThreadData;
const port = parentPort;
if (port === null) throw new Error('the stream thread is started by startDnsServer');
const report = (message: ThreadReport): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
};

/** A client that does not come to an end with TLS's handshake. */
const handshakeMs = 5000;

const thread = new ServingThread(data, report);
const requests = new StreamRequests(report);
const connections = new ConnectionLimits();
const client = new Client();
/** Longest message, and the options behind it. */
const out = Buffer.alloc(65_535 + 1024);
const servers: Server[] = [];
const tlsServers: TlsServer[] = [];

function answer(
  message: Buffer,
  peer: Peer,
  signal: () => AbortSignal,
): Buffer | undefined | AsyncIterable<Buffer> {
  const beginMs = thread.authority.tick();
  client.bytes = addressOf(peer);
  client.length = client.bytes.length;
  client.port = peer.port;
  client.transport = peer.transport === 'tls' ? 2 : 1;
  const length = thread.respond(message, 0, message.length, client, out, 0);
  if (length === handOver) {
    const messages = requests.ask(message, peer, signal());
    thread.counters.event(messages ? 'handedOver' : 'handOverRefused');
    return messages ?? servFailFor(message);
  }
  if (thread.queryLog.isOn)
    thread.queryLog.add(message, client, thread.authority.lastRcode, length, performance.now());
  thread.counters.duration((thread.authority.tick() - beginMs) / 1000, 1);
  return length === 0 ? undefined : Buffer.from(out.subarray(0, length));
}

const addresses = new WeakMap<Peer, Buffer>();

function addressOf(peer: Peer): Buffer {
  let address = addresses.get(peer);
  if (!address) {
    address = addressData(peer.address);
    addresses.set(peer, address);
  }
  return address;
}

function admit(socket: Socket): boolean {
  // A connection may be gone before it was seen.
  const isAdmitted = socket.remoteAddress !== undefined && connections.admit(socket);
  thread.counters.event(isAdmitted ? 'connections' : 'connectionsRefused');
  return isAdmitted;
}

function tcpServer(): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    if (admit(socket)) serveTcp(socket, answer, 'tcp', keepaliveMs);
    else socket.destroy();
  });
}

const tlsOptions = ({ certificate, key }: ServerCertificate) =>
  ({ cert: certificate, key, minVersion: 'TLSv1.2' }) as const;

function tlsServer(certificate: ServerCertificate): TlsServer {
  const server = createTlsServer(
    { ...tlsOptions(certificate), ALPNProtocols: ['dot'], handshakeTimeout: handshakeMs },
    (socket) => serveTcp(socket, answer, 'tls', keepaliveMs),
  );
  // Counted before its handshake, which is what costs.
  server.on('connection', (socket: Socket) => {
    if (!admit(socket)) socket.destroy();
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  tlsServers.push(server);
  return server;
}

async function listen(server: Server, address: string, at: number): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: at, host: address, ipv6Only: true }, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', () => {});
  return (server.address() as { port: number }).port;
}

const flushing = setInterval(() => thread.queryLog.flush(performance.now()), 200);
const close = async (): Promise<void> => {
  clearInterval(flushing);
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
  connections.closeAll();
  await Promise.all(closed);
};
port.on('message', (command: ThreadCommand) => {
  if (thread.obey(command)) return;
  if (command.kind === 'answer') requests.take(command.request, command.message);
  else if (command.kind === 'certificate')
    for (const server of tlsServers) server.setSecureContext(tlsOptions(command.certificate));
  else if (command.kind === 'stop')
    void close().then(() => {
      report({ kind: 'stopped' });
      port.close();
    });
});
try {
  let [bound, tlsPort] = [data.port, data.tls?.port];
  for (const address of data.addresses) bound = await listen(tcpServer(), address, bound);
  if (data.tls)
    for (const address of data.addresses)
      tlsPort = await listen(tlsServer(data.tls), address, tlsPort as number);
  report({ kind: 'listening', port: bound, tlsPort });
} catch (error) {
  await close();
  const { message, code } = error as NodeJS.ErrnoException;
  report({ kind: 'failed', message, code });
}
