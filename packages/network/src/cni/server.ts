import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';

/** One call of the plugin, parsed (CNI specification 1.0.0, section 2). */
export interface CniRequest {
  command: 'ADD' | 'DEL' | 'CHECK';
  containerId: string;
  netns: string;
  ifName: string;
  /** `namespace/name`, from CNI_ARGS. */
  pod: string;
  cniVersion: string;
  portMappings: Array<{ hostPort: number; containerPort: number; protocol: string; hostIP: string }>;
}

/** An error with a code of the specification: 4 bad environment, 6 bad config, 7 bad input, 11 try again, ≥100 ours. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

interface RawRequest {
  environment: Record<string, string>;
  config: string;
}

function parseRequest(text: string): CniRequest {
  const raw = JSON.parse(text) as RawRequest;
  const need = (name: string, pattern: RegExp): string => {
    const value = raw.environment[name] ?? '';
    if (!pattern.test(value)) throw new CniError(4, `${name}=${JSON.stringify(value)} is not valid`);
    return value;
  };
  const command = need('CNI_COMMAND', /^(ADD|DEL|CHECK)$/) as CniRequest['command'];
  const args = new Map(
    (raw.environment['CNI_ARGS'] ?? '').split(';').map((pair) => pair.split('=', 2) as [string, string]),
  );
  let config: { cniVersion?: string; runtimeConfig?: { portMappings?: CniRequest['portMappings'] } };
  try {
    config = JSON.parse(raw.config) as typeof config;
  } catch (cause) {
    throw new CniError(6, 'the network configuration on standard input is not JSON', cause);
  }
  return {
    command,
    containerId: need('CNI_CONTAINERID', /^[A-Za-z0-9][A-Za-z0-9_.-]*$/),
    // DEL may come a second time without a namespace.
    netns: command === 'DEL' ? (raw.environment['CNI_NETNS'] ?? '') : need('CNI_NETNS', /^\/[^\s]+$/),
    ifName: need('CNI_IFNAME', /^[^\s/:]{1,15}$/),
    pod: `${args.get('K8S_POD_NAMESPACE') ?? ''}/${args.get('K8S_POD_NAME') ?? ''}`,
    cniVersion: config.cniVersion ?? '1.0.0',
    portMappings: config.runtimeConfig?.portMappings ?? [],
  };
}

/**
 * Listens for the plugin. `handle` returns the CNI result (undefined prints nothing); calls for one container run
 * one after another, because runtimes send DEL in parallel with a late ADD.
 */
export async function startCniServer(options: {
  socketPath: string;
  handle(request: CniRequest): Promise<unknown>;
  log: Logger;
}): Promise<Running> {
  const { socketPath, log } = options;
  const queues = new Map<string, Promise<unknown>>();
  const sockets = new Set<Socket>();

  const serve = async (text: string): Promise<{ exitCode: number; output: unknown }> => {
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
      const code = error instanceof CniError ? error.code : 100;
      const message = error instanceof Error ? error.message : String(error);
      log.error({ code, err: message }, 'CNI request failed');
      return { exitCode: 1, output: { cniVersion: '1.0.0', code, msg: message } };
    }
  };

  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
  rmSync(socketPath, { force: true });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('end', () => void serve(text).then((reply) => socket.end(JSON.stringify(reply))));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);
  return running(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    await Promise.all(queues.values());
    for (const socket of sockets) socket.destroy();
    await closed;
  });
}
