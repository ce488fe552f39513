import { createSocket } from 'node:dgram';
import { StreamConnection } from './connection.ts';
import { isAnswerTo } from './question.ts';

interface Server {
  readonly host: string;
  readonly port: number;
}

/** How long one server may take for one answer. */
const attemptMs = 2000;

/**
 * Sends a query by UDP from a port of its own and resolves to the first message that `accepts` takes. Rejects when the
 * server refuses, is silent for `timeoutMs`, or `signal` aborts.
 */
export function exchangeUdp(
  query: Buffer,
  to: Server,
  options: { timeoutMs: number; signal: AbortSignal; accepts(answer: Buffer): boolean },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { signal, timeoutMs } = options;
    const socket = createSocket(to.host.includes(':') ? 'udp6' : 'udp4');
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
    const timer = setTimeout(() => finish(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    socket.on('error', (error) => finish(error));
    socket.on('message', (answer) => {
      if (options.accepts(answer)) finish(undefined, Buffer.from(answer));
    });
    // Connected: answers from anyone else are dropped by the kernel, and refusals are errors at once. Without a route
    // the callback gets an error (dgram's types do not say so).
    socket.connect(to.port, to.host, (error?: Error) => {
      if (error) finish(error);
      else if (!done) socket.send(query, (failure) => failure && finish(failure));
    });
  });
}

/** One query, one answer by UDP; rejects after 2 s. Answers with another id or question do not count. */
export function askUdp(query: Buffer, server: Server, signal: AbortSignal): Promise<Buffer> {
  const accepts = (answer: Buffer): boolean => isAnswerTo(query, answer, false);
  return exchangeUdp(query, server, { timeoutMs: attemptMs, signal, accepts });
}

/** The same on a TCP connection of its own. */
export async function askTcp(query: Buffer, server: Server, signal: AbortSignal): Promise<Buffer> {
  const connection = new StreamConnection(server, undefined, attemptMs);
  const aborted = (): void => connection.close();
  signal.addEventListener('abort', aborted, { once: true });
  if (signal.aborted) aborted();
  try {
    const accepts = (answer: Buffer): boolean => isAnswerTo(query, answer, false);
    return await connection.ask(query, { timeoutMs: attemptMs, accepts });
  } finally {
    signal.removeEventListener('abort', aborted);
    connection.close();
  }
}
