import { type Clock, sleep } from '@cloudless/kube/clock';
import type { Container, LifecycleHandler } from '@cloudless/kube/types/core-v1';
import type { CriRuntime } from '../cri/runtime.ts';
import { portNumber, probeUrl } from '../probe/handlers.ts';

/** A lifecycle hook that did not do what it should; the message goes into its event. */
export class HookError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HookError';
  }
}

export interface HookInput {
  cri: CriRuntime;
  clock: Clock;
  containerId: string;
  container: Container;
  hook: LifecycleHandler;
  /** The pod's address. */
  host: string;
  signal: AbortSignal;
  /** 0 for none. */
  timeoutMs: number;
}

/** Runs a postStart or preStop hook to its end (upstream: lifecycle/handlers.go). Throws {@link HookError}. */
export async function runHook(input: HookInput): Promise<void> {
  const { hook } = input;
  if (hook.exec) return execHook(input, hook.exec.command ?? []);
  if (hook.httpGet) return httpHook(input);
  if (hook.sleep) return sleep(input.clock, hook.sleep.seconds * 1000, input.signal);
  if (hook.tcpSocket)
    throw new HookError('tcpSocket is not supported as a lifecycle hook; use exec, httpGet or sleep');
  throw new HookError('invalid handler: it has no exec, httpGet or sleep');
}

async function execHook(input: HookInput, cmd: readonly string[]): Promise<void> {
  const timeout = BigInt(Math.ceil(input.timeoutMs / 1000));
  let answer;
  try {
    answer = await input.cri.execSync(
      { containerId: input.containerId, cmd, timeout },
      { signal: input.signal },
    );
  } catch (error) {
    throw new HookError(
      `Exec lifecycle hook (${JSON.stringify(cmd)}) failed: ${(error as Error).message}`,
      error,
    );
  }
  if (answer.exitCode === 0) return;
  const output = Buffer.concat([answer.stdout, answer.stderr]).toString('utf8').slice(0, 1024);
  throw new HookError(`command '${cmd.join(' ')}' exited with ${answer.exitCode}: ${output}`);
}

async function httpHook(input: HookInput): Promise<void> {
  const action = input.hook.httpGet!;
  const url = probeUrl(action.host || input.host, portNumber(input.container, action.port), action);
  const headers = Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value]));
  const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const timeout = input.timeoutMs > 0 ? [AbortSignal.timeout(input.timeoutMs)] : [];
  const signal = AbortSignal.any([input.signal, ...timeout]);
  await new Promise<void>((resolve, reject) => {
    const sent = request(
      url,
      {
        headers: { 'user-agent': 'kube-lifecycle/1.36', ...headers },
        signal,
        agent: false,
        rejectUnauthorized: false,
      } as object,
      (response) => {
        response.resume();
        response.on('close', resolve);
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end();
  }).catch((error: unknown) => {
    throw new HookError(`Http lifecycle hook (${url.pathname}) failed: ${(error as Error).message}`, error);
  });
}
