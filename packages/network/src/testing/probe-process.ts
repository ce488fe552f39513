/**
 * A host of a test: does what lines of JSON on its standard input ask for, and answers each with one. Started by `probe.ts` inside
 * a network namespace.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import koffi from 'koffi';
import { bulkBytes, type ProbeRequest } from './probe.ts';

const errorOf = (error: NodeJS.ErrnoException): string => `error ${error.code}`;
const isV6 = (host: string): boolean => host.includes(':');

function tcp(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host, port });
    socket.setTimeout(timeoutMs, () => {
      socket.destroy();
      resolve('timeout');
    });
    socket.setEncoding('utf8').on('data', (data: string) => (text += data));
    socket.on('end', () => resolve(text));
    socket.on('error', (error) => resolve(errorOf(error)));
  });
}

function udp(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isV6(host) ? 'udp6' : 'udp4');
    const end = (answer: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    socket.once('error', (error) => end(errorOf(error)));
    socket.once('message', (message) => end(String(message)));
    // Connected, the kernel tells of refusals.
    socket.connect(port, host, () => socket.send('?'));
  });
}

/** Answers who asks, by TCP and UDP, with a name and the address that it sees; echoes lines on the next port, sends much on the one after. */
async function serve(name: string, port: number, host: string): Promise<string> {
  const plain = (address: string | undefined): string => (address ?? '').replace('::ffff:', '');
  const greet = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`${name} ${plain(socket.remoteAddress)}`);
  });
  const echo = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  const bulk = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('x'.repeat(bulkBytes));
  });
  const datagrams = createSocket(isV6(host) ? 'udp6' : 'udp4');
  datagrams.on('message', (_, peer) =>
    datagrams.send(`${name} ${plain(peer.address)}`, peer.port, peer.address),
  );
  await Promise.all([
    new Promise<void>((resolve) => greet.listen(port, host, resolve)),
    new Promise<void>((resolve) => echo.listen(port + 1, host, resolve)),
    new Promise<void>((resolve) => bulk.listen(port + 2, host, resolve)),
    new Promise<void>((resolve) => datagrams.bind(port, host, resolve)),
  ]);
  return 'serving';
}

/** One ICMP echo by a raw socket; `answered`, or `timeout`. */
function ping(host: string, timeoutMs: number): string {
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
  const sendto = libc.func(
    'long sendto(int fd, void *data, size_t size, int flags, void *to, uint32_t length)',
  );
  const recvfrom = libc.func(
    'long recvfrom(int fd, void *data, size_t size, int flags, void *from, void *length)',
  );
  const inetPton = libc.func('int inet_pton(int family, const char *text, void *to)');
  const close = libc.func('int close(int fd)');
  const v6 = isV6(host);
  const fd = socket(v6 ? 10 : 2, 3, v6 ? 58 : 1) as number; // AF_INET6 or AF_INET, SOCK_RAW, ICMP
  try {
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(BigInt(timeoutMs) * 1000n, 8);
    setsockopt(fd, 1, 20, timeout, 16); // SOL_SOCKET, SO_RCVTIMEO
    const to = Buffer.alloc(v6 ? 28 : 16);
    to.writeUInt16LE(v6 ? 10 : 2, 0);
    const address = Buffer.alloc(16);
    inetPton(v6 ? 10 : 2, host, address);
    address.copy(to, v6 ? 8 : 4, 0, v6 ? 16 : 4);
    const request = Buffer.from([v6 ? 128 : 8, 0, 0, 0, 0x12, process.pid & 255, 0, 1]);
    if (!v6) {
      let sum = 0;
      for (let i = 0; i < request.length; i += 2) sum += request.readUInt16BE(i);
      request.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 2);
    }
    if ((sendto(fd, request, request.length, 0, to, to.length) as number) < 0) return 'not sent';
    const untilMs = performance.now() + timeoutMs;
    while (performance.now() < untilMs) {
      const data = Buffer.alloc(1500);
      const from = Buffer.alloc(28);
      const length = Buffer.from([28, 0, 0, 0]);
      if ((recvfrom(fd, data, data.length, 0, from, length) as number) < 0) return 'timeout';
      const message = v6 ? data : data.subarray(((data[0] as number) & 15) * 4);
      const sender = from.subarray(v6 ? 8 : 4, v6 ? 24 : 8);
      if (
        message[0] === (v6 ? 129 : 0) &&
        message[4] === request[4] &&
        message[5] === request[5] &&
        sender.equals(address.subarray(0, v6 ? 16 : 4))
      )
        return 'answered';
    }
    return 'timeout';
  } finally {
    close(fd);
  }
}

let held: Socket | undefined;

function hold(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    held = connect({ host, port }, () => resolve('connected'));
    held.once('error', (error) => resolve(errorOf(error)));
    held.setTimeout(timeoutMs, () => resolve('timeout'));
  });
}

function say(text: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('timeout'), timeoutMs);
    held?.once('data', (data) => {
      clearTimeout(timer);
      resolve(String(data));
    });
    held?.write(text);
  });
}

async function answer(request: ProbeRequest): Promise<string> {
  switch (request.what) {
    case 'tcp':
      return tcp(request.host, request.port, request.withinMs);
    case 'udp':
      return udp(request.host, request.port, request.withinMs);
    case 'ping':
      return ping(request.host, request.withinMs);
    case 'serve':
      return serve(request.name, request.port, request.host);
    case 'hold':
      return hold(request.host, request.port, request.withinMs);
    default:
      return say(request.text, request.withinMs);
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, ...request } = JSON.parse(line) as ProbeRequest & { id: number };
    void answer(request).then((text) => process.stdout.write(`${JSON.stringify({ id, text })}\n`));
  })
  .on('close', () => process.exit(0));
