import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { eventually, repository, type Kubectl } from '../cluster.ts';

/** The image of `examples/web`'s back end: busybox, whose httpd answers on port 8080. */
export const image = 'cloudless.local/web-back:1';
export const example = join(repository, 'examples/web');

/** What a person does with kubectl in one sitting: steps by what they show, in the order in which they are done. */
export type Chapter = Record<string, (session: Session) => Promise<void>>;

/** With which versions is done what takes long and is the same in all, or nearly so. */
export type By = 'newest' | 'oldest and newest';

/** Holds one session back while another is at what they share. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Waits for this caller's turn; what it returns ends the turn. */
  async take(): Promise<() => void> {
    const before = this.#last;
    let end = (): void => {};
    this.#last = new Promise((resolve) => (end = resolve));
    await before;
    return end;
  }
}

export const minorOf = (version: string): number => Number(version.split('.')[1]);

/** A kubectl started and not waited for. */
export interface Started {
  child: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

/**
 * One version of kubectl at work in a namespace of its own. Command lines are split at spaces; arguments that hold
 * spaces follow one by one.
 */
export class Session {
  readonly minor: number;
  readonly namespace: string;
  readonly #isNewest: boolean;
  readonly #isOldest: boolean;
  readonly #thorough: boolean;
  /** A folder for this session's files. */
  readonly folder: string;
  readonly kubeconfig: string;
  /** The program. */
  readonly path: string;
  readonly #kubectl: Kubectl;

  /** `among`: every version at work. `thorough`: everything is done with this one, whatever its age. */
  constructor(
    version: string,
    among: readonly string[],
    kubectl: Kubectl,
    folder: string,
    kubeconfig: string,
    thorough: boolean,
  ) {
    this.minor = minorOf(version);
    const minors = among.map(minorOf);
    this.#isOldest = this.minor === Math.min(...minors);
    this.#thorough = thorough;
    this.#isNewest = this.minor === Math.max(...minors);
    this.namespace = `session-${version.replace('.', '-')}`;
    this.folder = folder;
    this.kubeconfig = kubeconfig;
    this.path = kubectl.path;
    this.#kubectl = kubectl;
  }

  /** Whether what is done by some versions is done by this one. */
  does(by: By): boolean {
    return this.#thorough || this.#isNewest || (by === 'oldest and newest' && this.#isOldest);
  }

  /** kubectl in this session's namespace; its output. */
  k(line: string, ...verbatim: string[]): Promise<string> {
    return this.#run(this.#here(line, verbatim));
  }

  /** kubectl without a namespace given. */
  anywhere(line: string, ...verbatim: string[]): Promise<string> {
    return this.#run([...line.split(' '), ...verbatim]);
  }

  /** As {@link k}, with this on standard input, which then ends. */
  feed(input: string, line: string, ...verbatim: string[]): Promise<string> {
    return this.#run(this.#here(line, verbatim), { input });
  }

  /** As {@link k}, with these variables in its environment. */
  within(env: NodeJS.ProcessEnv, line: string, ...verbatim: string[]): Promise<string> {
    return this.#run(this.#here(line, verbatim), { env });
  }

  /** As {@link k} for what must fail; how it ended and all that it said. */
  async refused(line: string, ...verbatim: string[]): Promise<string> {
    return this.refusedInput('', line, ...verbatim);
  }

  /** As {@link feed} for what must fail. */
  async refusedInput(input: string, line: string, ...verbatim: string[]): Promise<string> {
    let output: string;
    try {
      output = await this.feed(input, line, ...verbatim);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`kubectl ${line} did what it must not do: ${output}`);
  }

  /** Starts kubectl in this session's namespace. */
  start(line: string, ...verbatim: string[]): Started {
    return observed(this.#kubectl.start(this.#here(line, verbatim)));
  }

  /** Starts a shell's script at a terminal; `$K` in it is kubectl in this session's namespace. */
  atTerminal(script: string): Started {
    return observed(this.#kubectl.startInTerminal(`K="$KUBECTL -n ${this.namespace}"; ${script}`));
  }

  /** Waits until a started kubectl has printed this. */
  async printed(started: Started, what: string | RegExp): Promise<void> {
    const pattern = typeof what === 'string' ? what : what.source;
    try {
      await eventually(
        pattern,
        async () =>
          typeof what === 'string' ? started.output().includes(what) : what.test(started.output()),
        60_000,
      );
    } catch (error) {
      throw new Error(`kubectl never printed ${pattern}, only:\n${started.output()}`, { cause: error });
    }
  }

  /** Runs a pod that makes nothing of its termination signal, with a short grace period. */
  async runPod(name: string, script: string, options = ''): Promise<void> {
    const overrides = '--overrides={"apiVersion":"v1","spec":{"terminationGracePeriodSeconds":1}}';
    const line = `run ${name} --image=${image} --image-pull-policy=Never --restart=Never ${overrides}${options}`;
    await this.k(`${line} --command -- sh -c`, script);
  }

  /** A value of an object by its JSONPath. */
  async value(object: string, path: string): Promise<string> {
    return (await this.k(`get ${object} -o jsonpath={${path}}`)).trim();
  }

  /** A file of this session by name. */
  file(name: string): string {
    return join(this.folder, `${this.namespace}-${name}`);
  }

  #here(line: string, verbatim: string[]): string[] {
    return ['-n', this.namespace, ...line.split(' '), ...verbatim];
  }

  #run(args: string[], options: { input?: string; env?: NodeJS.ProcessEnv } = {}): Promise<string> {
    return this.#kubectl.run(args, { timeoutMs: 150_000, ...options });
  }
}

function observed(child: ChildProcess): Started {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdin?.on('error', () => {});
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? '')),
  );
  return { child, output: () => output, ended };
}
