import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { cniCode, CniError, type CniRequest, parseRequest } from './request.ts';

/** A plugin sends its request at once; whoever does not is no plugin. */
const requestMs = 10_000;
const longestRequestBytes = 1 << 20;

interface Reply {
  exitCode: number;
  output: unknown;
}

/**
 * Listens for the plugin. `handle` returns the CNI result (undefined prints nothing); calls for one container run
 * one after another, because runtimes send DEL in parallel with a late ADD. Stopping waits for calls under way and
 * their answers.
 */
export async function startCniServer(options: {
  socketPath: string;
  handle(request: CniRequest): Promise<unknown>;
  log: Logger;
}): Promise<Running> {
  const { socketPath, log } = options;
  const queues = new Map<string, Promise<unknown>>();
  const waiting = new Set<Socket>();
  const answering = new Set<Promise<void>>();

  const serve = async (text: string): Promise<Reply> => {
    try {
      const request = parseRequest(text);
      const before = queues.get(request.containerId) ?? Promise.resolve();
      const result = before.then(() => options.handle(request));
      const settled = result.catch(() => {});
      queues.set(request.containerId, settled);
      void settled.then(() => {
        if (queues.get(request.containerId) === settled) queues.delete(request.containerId);
      });
      return { exitCode: 0, output: await result };
    } catch (error) {
      const code = error instanceof CniError ? error.code : cniCode.failed;
      const message = error instanceof Error ? error.message : String(error);
      log.error({ code, err: message }, 'CNI request failed');
      return { exitCode: 1, output: { cniVersion: '1.0.0', code, msg: message } };
    }
  };

  const answer = async (socket: Socket, text: string): Promise<void> => {
    const reply = await serve(text);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      if (socket.destroyed) resolve();
      else socket.end(JSON.stringify(reply));
    });
  };

  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
  rmSync(socketPath, { force: true });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    waiting.add(socket);
    socket.setEncoding('utf8');
    socket.setTimeout(requestMs, () => {
      if (waiting.has(socket)) socket.destroy();
    });
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > longestRequestBytes) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => waiting.delete(socket));
    socket.on('end', () => {
      waiting.delete(socket);
      const work = answer(socket, text);
      answering.add(work);
      void work.then(() => answering.delete(work));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);
  return running(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of waiting) socket.destroy();
    await Promise.all(answering);
    await closed;
  });
}
