// Floods a server and counts what it answers: `taskset -c CORE node flood.ts PORT QUESTIONS SECONDS [do]`; prints JSON.
// dnsperf keeps books about each question and is saturated before the servers are; this one only counts.
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { libc, checked, linux, memoryAddress } from '@cloudless/kube/native/libc';
import { emptyMessage, plainEdns, writeMessage } from '@cloudless/dns/wire/message';
import { typeNumber } from '@cloudless/dns/wire/types';

const [port = '', file = '', seconds = '', dnssec] = process.argv.slice(2);
const batch = 64;
/** Clients, so that servers with several sockets on the port get their share each. */
const sockets = 16;
/** Questions under way for each socket: a server that is overloaded has always work, and few are lost in its buffer. */
const outstanding = 64;

const questions = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .slice(0, 65_536)
  .map((line, i) => {
    const [name = '', type = ''] = line.split(' ');
    const edns = dnssec === 'do' ? { ...plainEdns, dnssecOk: true } : undefined;
    return writeMessage({
      ...emptyMessage,
      recursionDesired: true,
      id: i & 0xffff,
      questions: [{ name, type: typeNumber(type) ?? 1, class: 1 }],
      edns,
    });
  });

/** struct mmsghdr with one struct iovec each; the memory is held as long as the program runs. */
function headersOf(vectors: readonly { address: bigint; length: number }[]): Buffer {
  const headers = Buffer.alloc(vectors.length * 64);
  const iovecs = Buffer.alloc(vectors.length * 16);
  held.push(headers, iovecs);
  const base = memoryAddress(iovecs);
  vectors.forEach(({ address, length }, i) => {
    iovecs.writeBigUInt64LE(address, i * 16);
    iovecs.writeBigUInt64LE(BigInt(length), i * 16 + 8);
    headers.writeBigUInt64LE(base + BigInt(i * 16), i * 64 + 16);
    headers.writeBigUInt64LE(1n, i * 64 + 24);
  });
  return headers;
}

const held: Buffer[] = [];
const all = Buffer.concat(questions);
const base = memoryAddress(all);
let offset = 0;
const vectors = questions.map((question) => {
  const address = base + BigInt(offset);
  offset += question.length;
  return { address, length: question.length };
});
const toSend: Buffer[] = [];
for (let i = 0; i + batch <= vectors.length; i += batch) toSend.push(headersOf(vectors.slice(i, i + batch)));
if (toSend.length === 0)
  toSend.push(
    headersOf(Array.from({ length: batch }, (_, i) => vectors[i % vectors.length] as (typeof vectors)[0])),
  );
const answers = Buffer.alloc(batch * 1500);
const received = headersOf(
  Array.from({ length: batch }, (_, i) => ({
    address: memoryAddress(answers) + BigInt(i * 1500),
    length: 1500,
  })),
);

const name = Buffer.alloc(16);
name.writeUInt16LE(linux.AF_INET, 0);
name.writeUInt16BE(Number(port), 2);
Buffer.from([127, 0, 0, 1]).copy(name, 4);
const fds = Array.from({ length: sockets }, () => {
  const fd = checked(
    libc().socket(linux.AF_INET, linux.SOCK_DGRAM | linux.SOCK_NONBLOCK, 0),
    'socket',
    'flood',
  );
  return { fd, underWay: 0, lastMs: 0 };
});
// sendmmsg needs no address on a connected socket.
const { connectSocket } = await import('./connect-socket.ts');
for (const { fd } of fds) connectSocket(fd, name);

let sent = 0;
let answered = 0;
let octets = 0;
let next = 0;
let lost = 0;
const startedMs = performance.now();
const endMs = startedMs + Number(seconds) * 1000;
for (let nowMs = startedMs; nowMs < endMs; nowMs = performance.now())
  for (const socket of fds) {
    for (;;) {
      const count = libc().recvmmsg(socket.fd, received, batch, linux.MSG_DONTWAIT, null);
      if (count <= 0) break;
      answered += count;
      octets += received.readUInt32LE(56) * count;
      socket.underWay = Math.max(0, socket.underWay - count);
      socket.lastMs = nowMs;
      if (count < batch) break;
    }
    // What is not answered for so long was lost on the way.
    if (socket.underWay > 0 && nowMs - socket.lastMs > 20) {
      lost += socket.underWay;
      socket.underWay = 0;
    }
    if (socket.underWay > outstanding / 2) continue;
    const count = libc().sendmmsg(
      socket.fd,
      toSend[next++ % toSend.length] as Buffer,
      batch,
      linux.MSG_DONTWAIT,
    );
    if (count <= 0) continue;
    sent += count;
    if (socket.underWay === 0) socket.lastMs = nowMs;
    socket.underWay += count;
  }
const elapsed = (performance.now() - startedMs) / 1000;
for (const { fd } of fds) libc().close(fd);
console.log(
  JSON.stringify({
    answered,
    sent,
    lost,
    octets,
    elapsed,
    perSecond: answered / elapsed,
    errno: constants.errno.EAGAIN > 0,
  }),
);
