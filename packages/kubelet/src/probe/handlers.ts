import { request as httpRequest } from '@cloudless/kube/builtin-http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type {
  Container,
  ExecAction,
  GRPCAction,
  HTTPGetAction,
  TCPSocketAction,
} from '@cloudless/kube/types/core-v1';
import type { IntOrString } from '@cloudless/kube/types/meta-v1';
import { CriError, criCode } from '../cri/error.ts';
import type { CriRuntime } from '../cri/runtime.ts';
import { checkGrpcHealth } from './grpc.ts';

export type Verdict = { result: 'success' | 'failure' | 'warning'; message: string };

/** One look at a container; the message is upstream's for the same finding. Throws only for what is no finding. */
export interface ProbeHandlers {
  exec(containerId: string, action: ExecAction, timeoutMs: number): Promise<Verdict>;
  http(host: string, container: Container, action: HTTPGetAction, timeoutMs: number): Promise<Verdict>;
  tcp(host: string, container: Container, action: TCPSocketAction, timeoutMs: number): Promise<Verdict>;
  grpc(host: string, action: GRPCAction, timeoutMs: number): Promise<Verdict>;
}

const success = (message = ''): Verdict => ({ result: 'success', message });
const failure = (message: string): Verdict => ({ result: 'failure', message });

/** Probes that reach into containers and their network. */
export function realHandlers(cri: CriRuntime): ProbeHandlers {
  return {
    exec: (containerId, action, timeoutMs) => execIn(cri, containerId, action.command ?? [], timeoutMs),
    http: async (host, container, action, timeoutMs) =>
      httpGet(action.host || host, portNumber(container, action.port), action, timeoutMs),
    tcp: async (host, container, action, timeoutMs) =>
      tcpConnect(action.host || host, portNumber(container, action.port), timeoutMs),
    grpc: (host, action, timeoutMs) => checkGrpcHealth(host, action.port, action.service ?? '', timeoutMs),
  };
}

/** For the simulated runtime: commands are asked of it, and whatever has an address answers. */
export function simulatedHandlers(cri: CriRuntime): ProbeHandlers {
  return {
    exec: (containerId, action, timeoutMs) => execIn(cri, containerId, action.command ?? [], timeoutMs),
    http: async () => success(),
    tcp: async () => success(),
    grpc: async () => success(),
  };
}

/** A port by number or by the name a container gives it; throws on a name it does not have. */
export function portNumber(container: Container, port: IntOrString): number {
  if (typeof port === 'number') return port;
  const named = (container.ports ?? []).find((entry) => entry.name === port)?.containerPort;
  const number = named ?? (/^\d+$/.test(port) ? Number(port) : NaN);
  if (!(number > 0 && number < 65_536))
    throw new Error(`couldn't find port: "${port}" in container ${container.name}`);
  return number;
}

async function execIn(
  cri: CriRuntime,
  containerId: string,
  cmd: readonly string[],
  timeoutMs: number,
): Promise<Verdict> {
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  try {
    const answer = await cri.execSync({ containerId, cmd, timeout: BigInt(seconds) });
    const output = Buffer.concat([answer.stdout, answer.stderr]).toString('utf8').slice(0, maxBodyBytes);
    return answer.exitCode === 0 ? success(output) : failure(output);
  } catch (error) {
    if (error instanceof CriError && error.code === criCode.DeadlineExceeded) {
      return failure(`command timed out: ${goQuoted(cmd.join(' '))} timed out after ${seconds}s`);
    }
    throw error;
  }
}

const goQuoted = (text: string): string => JSON.stringify(text);
const maxBodyBytes = 10 * 1024;
const maxRedirects = 10;

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** The URL of an httpGet action; its path may carry a query. */
export function probeUrl(host: string, port: number, action: HTTPGetAction): URL {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const path = action.path ?? '/';
  return new URL(path.startsWith('/') ? path : `/${path}`, `${scheme}://${bracketed(host)}:${port}`);
}

function probeHeaders(action: HTTPGetAction): Record<string, string> {
  const headers: Record<string, string> = {
    'user-agent': 'kube-probe/1.36',
    accept: '*/*',
    connection: 'close',
  };
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase();
    // An empty value takes the header away.
    if (value === '' && (key === 'user-agent' || key === 'accept')) delete headers[key];
    else headers[key] = value;
  }
  return headers;
}

async function httpGet(
  host: string,
  port: number,
  action: HTTPGetAction,
  timeoutMs: number,
): Promise<Verdict> {
  const deadline = AbortSignal.timeout(timeoutMs);
  let url = probeUrl(host, port, action);
  const first = url.toString();
  try {
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const { status, body, location } = await getOnce(url, probeHeaders(action), deadline);
      if (status >= 300 && status < 400 && location !== undefined && status !== 304) {
        const next = new URL(location, url);
        if (next.hostname !== url.hostname) {
          return { result: 'warning', message: `Probe terminated redirects, Response body: ${body}` };
        }
        url = next;
        continue;
      }
      return status >= 200 && status < 400
        ? success(body)
        : failure(`HTTP probe failed with statuscode: ${status}`);
    }
    return failure(`Get "${first}": stopped after ${maxRedirects} redirects`);
  } catch (error) {
    if (deadline.aborted) {
      return failure(
        `Get "${first}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
      );
    }
    return failure(`Get "${first}": ${dialText(error, url.hostname, Number(url.port) || port)}`);
  }
}

function getOnce(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<{ status: number; body: string; location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(
      url,
      { method: 'GET', headers, signal, agent: false, rejectUnauthorized: false } as Parameters<
        typeof httpsRequest
      >[1],
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
          if (body.length > maxBodyBytes) response.destroy();
        });
        response.on('error', reject);
        response.on('close', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: body.slice(0, maxBodyBytes),
            location: response.headers.location,
          }),
        );
      },
    );
    request.on('error', reject);
    request.end();
  });
}

/** A failed connection in Go's words, which events of probes are known by. */
function dialText(error: unknown, host: string, port: number): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const words: Record<string, string> = {
    ECONNREFUSED: 'connect: connection refused',
    EHOSTUNREACH: 'connect: no route to host',
    ENETUNREACH: 'connect: network is unreachable',
    ETIMEDOUT: 'i/o timeout',
    ECONNRESET: 'read: connection reset by peer',
  };
  const text = words[code] ?? (error instanceof Error ? error.message : String(error));
  return code === 'ECONNRESET'
    ? text
    : `dial tcp ${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}: ${text}`;
}

function tcpConnect(host: string, port: number, timeoutMs: number): Promise<Verdict> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (verdict: Verdict): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(verdict);
    };
    const timer = setTimeout(
      () => finish(failure(`dial tcp ${bracketed(host)}:${port}: i/o timeout`)),
      timeoutMs,
    );
    socket.once('connect', () => finish(success()));
    socket.once('error', (error) => finish(failure(dialText(error, host, port))));
  });
}
