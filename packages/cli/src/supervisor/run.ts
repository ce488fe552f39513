import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterConfig, contextOf } from '../cluster-config.ts';
import type { Progress } from '../progress.ts';
import { errorPrefix } from '../error-text.ts';
import { askSupervisor } from './control-socket.ts';
import { StartFailedError, startSupervisor } from './supervisor.ts';

const mainScript = join(import.meta.dirname, '..', 'main.ts');

/** Names of the children's steps as people read them. */
const titles: Record<string, string> = {
  'control-plane': 'control plane',
  'node-agent': 'node',
  dns: 'dns',
  speaker: 'load balancer',
};

/**
 * Runs the supervisor in this process until Ctrl-C (pods end too), SIGTERM (pods go on) or `cloudless down`.
 * `onReady` is called once.
 */
export async function runUntilStopped(
  config: ClusterConfig,
  configPath: string,
  progress: Progress,
  onReady: () => void,
): Promise<void> {
  const interrupted = new Promise<'leave-pods' | 'stop-pods'>((resolve) => {
    process.once('SIGINT', () => resolve('stop-pods'));
    process.once('SIGTERM', () => resolve('leave-pods'));
  });
  progress.step('start the processes');
  const supervisor = await startSupervisor(config, configPath, (child, step, detail) => {
    progress.step(`${titles[child] ?? child}: ${step}${detail === '' ? '' : ` (${detail})`}`);
  });
  const asked = supervisor.stopRequested.then(() => 'stop-pods' as const);
  let failure: StartFailedError | undefined;
  try {
    const early = await Promise.race([supervisor.ready.then(() => undefined), interrupted, asked]);
    if (early === undefined) {
      progress.done();
      onReady();
    }
  } catch (error) {
    if (!(error instanceof StartFailedError)) throw error;
    failure = error;
    progress.fail(error.message);
  }
  const mode = failure ? ('stop-pods' as const) : await Promise.race([interrupted, asked]);
  progress.step(mode === 'stop-pods' ? 'stop the pods and the processes' : 'stop the processes; pods go on');
  await supervisor.end(mode, async () => {
    if (mode !== 'stop-pods') return;
    // Knows the node's parts, whose loading would hold up the start.
    const { cleanUp } = await import('../cleanup.ts');
    await cleanUp(config);
  });
  progress.done();
  if (failure) throw failure;
}

/** Starts a supervisor that outlives this command, and shows its progress until it is ready. */
export async function startDetached(
  config: ClusterConfig,
  configPath: string,
  progress: Progress,
): Promise<void> {
  const context = contextOf(config);
  mkdirSync(context.paths.logs, { recursive: true, mode: 0o755 });
  const logPath = join(context.paths.logs, 'supervisor.log');
  const log = openSync(logPath, 'a', 0o640);
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', mainScript, 'supervise', '--config', configPath],
    { stdio: ['ignore', log, log], detached: true, cwd: '/' },
  );
  const logBytes = fstatSync(log).size;
  closeSync(log);
  let exited: string | undefined;
  child.once('exit', (code, signal) => (exited = signal ?? `exit code ${code}`));
  child.unref();
  progress.step('start the processes');
  let shown = '';
  let failure: string | undefined;
  for (;;) {
    const ended = exited;
    // A busy machine may not answer in time: what counts is whether the supervisor lives.
    const status = await askSupervisor(context, { command: 'status' }, 5000).catch(() => undefined);
    if (status?.ready) break;
    failure ??= status?.failure;
    // Thrown only when the supervisor has cleaned up, so that the next `up` meets nothing of this one.
    if (ended !== undefined) {
      const said = readFileSync(logPath).subarray(logBytes).toString();
      throw new StartFailedError(failure ?? whyEnded(said, ended, config.root));
    }
    if (status && status.step !== shown) progress.step((shown = status.step));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  progress.done();
}

/** The last words of a supervisor that ended before it could be asked. */
function whyEnded(log: string, exit: string, root: string): string {
  const said = log.split('\n').findLast((line) => line.startsWith(errorPrefix));
  return (
    said?.slice(errorPrefix.length) ??
    `the supervisor ended (${exit}): see 'cloudless logs supervisor --root ${root}'`
  );
}
