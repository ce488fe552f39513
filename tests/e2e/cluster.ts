import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const repository = join(import.meta.dirname, '..', '..');
export const cloudless = join(repository, 'bin', 'cloudless');
const cache = join(repository, '.cache');

/**
 * Builds an image from a specification, once per content of its folder; the archive's path. Call before the test
 * enters a network namespace of its own: Debian's archive is not reachable from there.
 */
export function builtImage(spec: string): string {
  const path = join(repository, spec);
  const content = createHash('sha256');
  for (const name of readdirSync(dirname(path)).sort())
    content.update(readFileSync(join(dirname(path), name)));
  const key = content.digest('hex').slice(0, 16);
  const archive = join(cache, 'test-images', `${key}.tar`);
  if (!existsSync(archive)) {
    mkdirSync(dirname(archive), { recursive: true });
    execFileSync(
      cloudless,
      ['image', 'build', path, '--no-load', '-o', `${archive}.part`, '--root', join(cache, 'image-root')],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    execFileSync('mv', [`${archive}.part`, archive]);
  }
  return archive;
}

/**
 * Every kubectl of this machine by version: the one that `KUBECTL` names, the one on the path, its siblings, and
 * Debian's beside it.
 */
export function kubectls(): Array<{ version: string; path: string }> {
  const found = new Map<string, string>();
  const named = process.env['KUBECTL'];
  if (named && !existsSync(named)) throw new Error(`KUBECTL=${named} is no program; name one, or none`);
  const candidates = named ? [resolve(named)] : [];
  const onPath = execFileSync('sh', ['-c', 'command -v kubectl || true'], { encoding: 'utf8' }).trim();
  if (onPath !== '') {
    const real = realpathSync(onPath);
    candidates.push(...globSync(join(dirname(real), 'kubectl.*')).sort(), real);
  }
  candidates.push(join(cache, 'kubectl', 'usr', 'bin', 'kubectl'));
  for (const path of candidates) {
    if (!existsSync(path)) continue;
    const text = execFileSync(path, ['version', '--client', '-o', 'json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const { gitVersion } = (JSON.parse(text) as { clientVersion: { gitVersion: string } }).clientVersion;
    const version = /^v(\d+\.\d+)/.exec(gitVersion)?.[1] ?? gitVersion;
    // A dispatcher reports its default version; the real program of that version is preferred.
    if (!found.has(version)) found.set(version, path);
  }
  return [...found].map(([version, path]) => ({ version, path }));
}

/** Gives this network namespace an uplink with a default route, as every machine has. Call after `isolate()`. */
export function addUplink(address = '192.0.2.10'): void {
  const ip = (...args: string[]): void => void execFileSync('ip', args);
  ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'world');
  ip('addr', 'add', `${address}/24`, 'dev', 'uplink');
  ip('link', 'set', 'uplink', 'up');
  ip('link', 'set', 'world', 'up');
  ip('route', 'add', 'default', 'via', '192.0.2.1');
}

/** A cluster made for one test file. */
export class TestCluster {
  readonly root: string;
  readonly kubeconfig: string;
  readonly #children = new Set<ChildProcess>();

  constructor() {
    // Short: unix socket paths hold 107 bytes.
    this.root = mkdtempSync('/tmp/cl-');
    this.kubeconfig = join(this.root, 'etc/kubernetes/admin.conf');
  }

  /** `cloudless ARGS --root ROOT`; the output. Rejects with what it printed. */
  async cloudless(...args: string[]): Promise<string> {
    try {
      const { stdout, stderr } = await run(cloudless, [...args, '--root', this.root], {
        timeout: 240_000,
        maxBuffer: 1 << 26,
      });
      return stdout + stderr;
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      throw new Error(`cloudless ${args.join(' ')}: ${stderr ?? ''}${stdout ?? ''}${this.logTail()}`, {
        cause: error,
      });
    }
  }

  up(...args: string[]): Promise<string> {
    return this.cloudless('up', '--detach', '--node-name', 'node-1', ...args);
  }

  /** The end of every process's log, for messages of failed tests. */
  logTail(): string {
    return globSync(join(this.root, 'var/log/cloudless/*.log'))
      .map((path) => `\n--- ${path}\n${readFileSync(path, 'utf8').split('\n').slice(-15).join('\n')}`)
      .join('');
  }

  kubectl(path = 'kubectl'): Kubectl {
    return new Kubectl(path, this.kubeconfig, this.#children);
  }

  /** Pid of a supervised process, of this cluster's first node or of one below another root. */
  async pidOf(name: string, root = this.root): Promise<number> {
    const status = JSON.parse(await this.status(root)) as {
      supervisor: { children: Array<{ name: string; pid: number }> };
    };
    const pid = status.supervisor.children.find((child) => child.name === name)?.pid;
    if (pid === undefined) throw new Error(`${name} does not run`);
    return pid;
  }

  async status(root = this.root): Promise<string> {
    try {
      return (await run(cloudless, ['status', '-o', 'json', '--root', root])).stdout;
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  }

  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.cloudless('down');
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** kubectl of one version against one cluster. */
export class Kubectl {
  readonly path: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #children: Set<ChildProcess>;

  constructor(path: string, kubeconfig: string, children: Set<ChildProcess>) {
    this.path = path;
    this.#environment = {
      ...process.env,
      KUBECONFIG: kubeconfig,
      KUBECACHEDIR: join(dirname(kubeconfig), 'cache'),
      HOME: dirname(kubeconfig),
    };
    this.#children = children;
  }

  /** Runs to the end; standard output. Rejects with standard error. */
  async run(
    args: string[],
    options: { input?: string; timeoutMs?: number; env?: NodeJS.ProcessEnv } = {},
  ): Promise<string> {
    const child = this.start(args, options.env);
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
    const timeoutMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.once('close', (...end) => resolve(end)),
    );
    clearTimeout(timer);
    if (code === 0) return stdout;
    const end = signal ? `killed after ${timeoutMs} ms` : `exit code ${code}`;
    throw new Error(`kubectl ${args.join(' ')}: ${end}\n${stderr}${stdout}`);
  }

  start(args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return this.#spawn(this.path, args, env);
  }

  /** Starts a shell's script at a terminal of its own, whose program `$KUBECTL` is; its output is the terminal's. */
  startInTerminal(script: string): ChildProcess {
    return this.#spawn('script', ['-qefc', script, '/dev/null'], { KUBECTL: this.path, SHELL: '/bin/sh' });
  }

  #spawn(program: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(program, args, {
      env: { ...this.#environment, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }
}

/** Waits until `check` returns something, or throws what it last threw or returned. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const result = await check();
      if (result !== undefined && result !== false) return result;
      last = result;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endMs)
      throw new Error(
        `not within ${timeoutMs} ms: ${what}${last instanceof Error ? `; at last: ${last.message}` : ''}`,
        last instanceof Error ? { cause: last } : undefined,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
