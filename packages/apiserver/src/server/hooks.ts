import { sleep } from '@cloudless/kube/clock';
import type { HealthCheck } from '../http/health.ts';
import type { PartContext, PostStartHook } from './options.ts';

/** Pause before a failed hook is tried again; doubles up to the maximum. */
const retryMinMs = 50;
const retryMaxMs = 5_000;

export interface Hooks {
  /** One per hook, failing until it has run. */
  readonly checks: readonly HealthCheck[];
  /** Begins to run the hooks, in order; resolves when all have run. Never rejects: hooks are tried until the stop. */
  start(): Promise<void>;
  /** Resolves when no hook runs any more. */
  readonly ended: Promise<void>;
}

/** The post-start hooks of one server, and what `/readyz` says of them. */
export function runHooks(
  hooks: readonly PostStartHook[],
  context: PartContext,
  authorizerReady: Promise<void>,
): Hooks {
  const done = new Set<string>();
  let finish: () => void = () => {};
  const ended = new Promise<void>((resolve) => (finish = resolve));
  const check = (name: string) => ({
    name,
    check: () => {
      if (!done.has(name)) throw new Error('not finished');
    },
  });
  const informers = 'informer-sync';
  const names = hooks.map(({ name }) => `poststarthook/${name}`);
  const run = async (): Promise<void> => {
    try {
      await authorizerReady.catch(() => {});
      done.add(informers);
      const runOne = async (hook: PostStartHook): Promise<boolean> => {
        const isDone = await attempt(hook, context);
        if (isDone) done.add(`poststarthook/${hook.name}`);
        return isDone;
      };
      const beside = hooks.filter((hook) => hook.beside).map(runOne);
      for (const hook of hooks) if (!hook.beside && !(await runOne(hook))) break;
      await Promise.all(beside);
    } finally {
      finish();
    }
  };
  return { checks: [informers, ...names].map(check), start: run, ended };
}

/** Runs one hook until it succeeds; false when the server stops first. */
async function attempt(hook: PostStartHook, context: PartContext): Promise<boolean> {
  const { signal, log, clock } = context;
  let told = '';
  for (let delayMs = retryMinMs; ; delayMs = Math.min(delayMs * 2, retryMaxMs)) {
    if (signal.aborted) return false;
    try {
      await hook.run(context);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const why = error instanceof Error ? error.message : String(error);
      // The same failure is told once; /readyz goes on saying that the hook is not done.
      if (why !== told)
        log.warn({ hook: hook.name, why }, 'a post-start hook failed, trying again until it succeeds');
      told = why;
    }
    await sleep(clock, delayMs, signal);
  }
}
