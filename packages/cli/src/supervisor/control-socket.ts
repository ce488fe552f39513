import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { NodeContext } from '@cloudless/kube/node/context';
import type { ChildStatus } from './child.ts';

export interface SupervisorStatus {
  pid: number;
  startedMs: number;
  ready: boolean;
  /** The step that the start is at, or the error that it ended with. */
  step: string;
  failure: string | undefined;
  children: ChildStatus[];
}

export type SupervisorRequest = { command: 'status' } | { command: 'stop' };

const longestRequestBytes = 64 * 1024;

const socketPath = (context: NodeContext): string => join(context.paths.run, 'supervisor.sock');

/** Another supervisor answers already, or the socket is not ours to use. */
export class ControlSocketError extends Error {
  override readonly name = 'ControlSocketError';
}

function parseRequest(text: string): SupervisorRequest | undefined {
  try {
    const request = JSON.parse(text) as Partial<SupervisorRequest> | null;
    return request?.command === 'status' || request?.command === 'stop'
      ? { command: request.command }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Answers `status` and `stop` for this machine's other `cloudless` commands; only its own user can connect. Whoever asks
 * for something else is hung up on. Rejects when another supervisor answers there.
 */
export async function serveControlSocket(
  context: NodeContext,
  handle: (request: SupervisorRequest) => Promise<SupervisorStatus>,
): Promise<Running> {
  const path = socketPath(context);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (await askSupervisor(context, { command: 'status' }, 2000))
    throw new ControlSocketError(`a supervisor answers at ${path} already: see 'cloudless status'`);
  rmSync(path, { force: true });
  const waiting = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    waiting.add(socket);
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('close', () => waiting.delete(socket));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > longestRequestBytes) socket.destroy();
    });
    socket.on('end', () => {
      waiting.delete(socket);
      const request = parseRequest(text);
      if (!request) {
        socket.destroy();
        return;
      }
      void handle(request).then(
        (status) => socket.end(JSON.stringify(status)),
        () => socket.destroy(),
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return running(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of waiting) socket.destroy();
    await closed;
  });
}

/** Asks the supervisor of this context; undefined when none runs. */
export function askSupervisor(
  context: NodeContext,
  request: SupervisorRequest,
  timeoutMs = 120_000,
): Promise<SupervisorStatus | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath(context));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs, () =>
      socket.destroy(new Error(`the supervisor gave no answer in ${timeoutMs} ms`)),
    );
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else if (error.code === 'EACCES')
        reject(
          new ControlSocketError(
            `the supervisor at ${socketPath(context)} is another user's: run this as root`,
          ),
        );
      else reject(error);
    });
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => {
      if (text === '') reject(new ControlSocketError('the supervisor ended without an answer'));
      else resolve(JSON.parse(text) as SupervisorStatus);
    });
    socket.end(JSON.stringify(request));
  });
}
