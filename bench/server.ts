// The control plane (datastore on a disk, API server, controllers, scheduler) in a process of its own, which measures
// itself: started by the benchmarks through `startServer`.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { startCluster } from 'cloudless/testing';
import { controlPlaneFlags } from '../packages/cli/src/supervisor/node-flags.ts';
import { type Figures, measure } from './figures.ts';

export type { Figures } from './figures.ts';

export interface Server extends AsyncDisposable {
  readonly kubeconfig: string;
  /** Kubeconfig text of a user, by client certificate. */
  kubeconfigFor(user: string): Promise<string>;
  /** Figures since the last call. */
  figures(): Promise<Figures>;
  readonly pid: number;
  /** Without a name: starts a profile of the processor's time; with one: writes it to `CPU_PROF`/NAME.cpuprofile. */
  profile(name?: string): Promise<unknown>;
}

/** Starts it with `nodeFlags`; `CPU_PROF=DIR` in the environment lets {@link Server.profile} write profiles there. */
export async function startServer(nodeFlags: readonly string[] = []): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-bench-'));
  const child = fork(import.meta.filename, [folder], {
    execArgv: [...controlPlaneFlags, ...nodeFlags],
    env: { ...process.env, CLOUDLESS_BENCH_SERVER: '1' },
  });
  child.setMaxListeners(0);
  const exited = once(child, 'exit');
  const { kubeconfig } = (await ask(child, { ask: 'ready' })) as { kubeconfig: string };
  return {
    kubeconfig,
    pid: child.pid as number,
    kubeconfigFor: (user) => ask(child, { ask: 'kubeconfig', user }) as Promise<string>,
    profile: (name) => ask(child, { ask: 'profile', user: name }),
    figures: () => ask(child, { ask: 'figures' }) as Promise<Figures>,
    async [Symbol.asyncDispose]() {
      child.send({ ask: 'stop' });
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let asked = 0;

function ask(child: ChildProcess, question: object): Promise<unknown> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const receive = (answer: { id: number; value: unknown }): void => {
      if (answer.id !== id) return;
      child.off('message', receive);
      child.off('exit', gone);
      resolve(answer.value);
    };
    const gone = (): void => reject(new Error('the server ended'));
    child.on('message', receive);
    child.once('exit', gone);
    child.send({ id, ...question });
  });
}

async function serve(folder: string): Promise<void> {
  const questions: Array<{ id: number; ask: string; user?: string }> = [];
  let take = (question: { id: number; ask: string; user?: string }): void => void questions.push(question);
  process.on('message', (question) => take(question as { id: number; ask: string }));
  const cluster = await startCluster({ nodes: 0, datastore: join(folder, 'state.db') });
  const figures = measure();
  const inspector = process.env['CPU_PROF'] === undefined ? undefined : new Session();
  inspector?.connect();
  await inspector?.post('Profiler.enable');
  const phase = async (name: string | undefined): Promise<void> => {
    if (!inspector) return;
    if (name === undefined) return await inspector.post('Profiler.start');
    const { profile } = await inspector.post('Profiler.stop');
    writeFileSync(join(process.env['CPU_PROF'] as string, `${name}.cpuprofile`), JSON.stringify(profile));
  };
  take = ({ id, ask: what, user }) => {
    const answer = (value: unknown): void => void process.send?.({ id, value });
    if (what === 'ready') answer({ kubeconfig: cluster.kubeconfig });
    else if (what === 'figures') answer(figures());
    else if (what === 'kubeconfig') void cluster.kubeconfigFor(user ?? '').then(answer);
    else if (what === 'profile') void phase(user).then(answer);
    else if (what === 'stop') process.disconnect?.();
  };
  for (const question of questions) take(question);
  // Whoever started it is gone: nobody will ask any more.
  process.once('disconnect', () => void cluster.stop().then(() => process.exit()));
}

if (process.env['CLOUDLESS_BENCH_SERVER'] === '1' && process.send) await serve(process.argv[2] as string);
