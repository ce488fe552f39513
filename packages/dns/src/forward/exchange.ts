import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { readName } from '../wire/name.ts';
import type { Upstream } from './upstreams.ts';

/** How long one server may take for one answer. */
export const attemptMs = 2000;

/** An answer counts only when its id and question are the query's. */
function matches(query: Buffer, answer: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if ((answer.readUInt16BE(2) & 0x8000) === 0 || answer.readUInt16BE(4) !== 1) return false;
  try {
    const asked = readName(query, 12);
    const answered = readName(answer, 12);
    return (
      asked.name.toLowerCase() === answered.name.toLowerCase() &&
      query.readUInt32BE(asked.end) === answer.readUInt32BE(answered.end)
    );
  } catch {
    return false;
  }
}

/** Asks one server by UDP, from a port of its own. Rejects when it refuses, is silent, or `signal` aborts. */
export function askUdp(query: Buffer, upstream: Upstream, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(upstream.host.includes(':') ? 'udp6' : 'udp4');
    let done = false;
    const finish = (error: Error | undefined, answer?: Buffer): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.close();
      if (answer) resolve(answer);
      else reject(error ?? new Error('no answer'));
    };
    const aborted = (): void => finish(new Error('the server is being stopped'));
    const timer = setTimeout(() => finish(new Error(`no answer in ${attemptMs} ms`)), attemptMs);
    signal.addEventListener('abort', aborted, { once: true });
    socket.on('error', (error) => finish(error));
    socket.on('message', (answer) => {
      if (matches(query, answer)) finish(undefined, Buffer.from(answer));
    });
    // Connected: answers from anyone else are dropped by the kernel, and refusals are errors at once. Without a route
    // the callback gets an error (dgram's types do not say so).
    socket.connect(upstream.port, upstream.host, (error?: Error) => {
      if (error) finish(error);
      else if (!done) socket.send(query, (failure) => failure && finish(failure));
    });
  });
}

/** Asks one server by TCP. Rejects as {@link askUdp} does. */
export function askTcp(query: Buffer, upstream: Upstream, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(upstream.port, upstream.host);
    let received: Buffer = Buffer.alloc(0);
    const aborted = (): void => void socket.destroy(new Error('the server is being stopped'));
    const timer = setTimeout(() => socket.destroy(new Error(`no answer in ${attemptMs} ms`)), attemptMs);
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      reject(new Error('connection closed before an answer'));
    });
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = Buffer.from(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (matches(query, answer)) resolve(answer);
      else reject(new Error('the answer does not belong to the question'));
      socket.destroy();
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
}
