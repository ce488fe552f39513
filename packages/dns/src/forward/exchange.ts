import { createSocket } from 'node:dgram';

/**
 * Sends a query by UDP from a port of its own and resolves to the first message that `accepts` takes. Rejects when the
 * server refuses, is silent for `timeoutMs`, or `signal` aborts.
 */
export function askUdp(
  query: Buffer,
  to: { readonly host: string; readonly port: number },
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
