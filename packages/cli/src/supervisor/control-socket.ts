import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
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

const socketPath = (context: NodeContext): string => join(context.paths.run, 'supervisor.sock');

/** Answers `status` and `stop` for this machine's other `cloudless` commands. Only root can connect. */
export async function serveControlSocket(
  context: NodeContext,
  handle: (request: SupervisorRequest) => Promise<SupervisorStatus>,
): Promise<Running> {
  const path = socketPath(context);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => {
      void handle(JSON.parse(text) as SupervisorRequest).then(
        (status) => socket.end(JSON.stringify(status)),
        (error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return running(() => new Promise<void>((resolve) => server.close(() => resolve())));
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
      else reject(error);
    });
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => {
      if (text === '') reject(new Error('the supervisor ended without an answer'));
      else resolve(JSON.parse(text) as SupervisorStatus);
    });
    socket.end(JSON.stringify(request));
  });
}
