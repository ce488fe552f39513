// The control plane (datastore on a disk, API server, controllers, scheduler) in a process of its own, which measures
// itself: started by the benchmarks through `startServer`.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { startCluster } from 'cloudless/testing';
import { controlPlaneFlags } from '../packages/cli/src/supervisor/node-flags.ts';

/** What the server's process went through since it was last asked. */
export interface Figures {
  /** Milliseconds by which a timer was late, at the 99th and 50th percentile, and the worst. */
  delayMs: { p50: number; p99: number; max: number };
  gc: { pauses: number; totalMs: number; maxMs: number };
  /** Processor time as a share of one core. */
  cpu: number;
  residentBytes: number;
  heapBytes: number;
  externalBytes: number;
}

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

const delayResolutionMs = 5;

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

function measure(): () => Figures {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  let pauses: number[] = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.push(duration);
  }).observe({ entryTypes: ['gc'] });
  let cpu = process.cpuUsage();
  let sinceMs = performance.now();
  return () => {
    const used = process.cpuUsage(cpu);
    const elapsedMs = performance.now() - sinceMs;
    const late = (ns: number): number => Math.max(0, ns / 1e6 - delayResolutionMs);
    const { heapUsed, external } = process.memoryUsage();
    const result: Figures = {
      delayMs: { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) },
      gc: {
        pauses: pauses.length,
        totalMs: pauses.reduce((sum, ms) => sum + ms, 0),
        maxMs: Math.max(0, ...pauses),
      },
      cpu: (used.user + used.system) / 1000 / elapsedMs,
      residentBytes: process.memoryUsage.rss(),
      heapBytes: heapUsed,
      externalBytes: external,
    };
    delay.reset();
    pauses = [];
    cpu = process.cpuUsage();
    sinceMs = performance.now();
    return result;
  };
}

if (process.env['CLOUDLESS_BENCH_SERVER'] === '1' && process.send) await serve(process.argv[2] as string);
