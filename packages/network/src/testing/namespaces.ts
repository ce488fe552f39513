import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import koffi from 'koffi';

const cloneNewNet = 0x40000000;
const cloneNewNs = 0x00020000;

/**
 * Moves the calling thread, and what it starts, into a network and mount namespace of its own with `lo` up, for a
 * test file (each runs in its own process). Throws when not root.
 */
export function isolate(): void {
  const libc = koffi.load('libc.so.6');
  const unshare = libc.func('int unshare(int flags)') as (flags: number) => number;
  if (unshare(cloneNewNet | cloneNewNs) !== 0)
    throw new Error('unshare failed: network tests need root with CAP_SYS_ADMIN');
  execFileSync('mount', ['--make-rprivate', '/']);
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
}

/** A network namespace held open by a sleeping process: a pod, or another host. */
export interface Namespace {
  path: string;
  pid: number;
  /** Runs a program inside; its standard output. */
  run(program: string, ...args: string[]): string;
  /** Starts a program inside. */
  start(program: string, ...args: string[]): ChildProcess;
  close(): void;
}

/** Makes a namespace; ends with {@link Namespace.close}. */
export async function newNamespace(): Promise<Namespace> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  // A test that fails before it closes the namespace still ends.
  holder.unref();
  (holder.stdout as Readable & { unref?(): void }).unref?.();
  const pid = holder.pid as number;
  const path = `/proc/${pid}/ns/net`;
  const children: ChildProcess[] = [];
  return {
    path,
    pid,
    run: (program, ...args) =>
      execFileSync('nsenter', [`--net=${path}`, program, ...args], { encoding: 'utf8', timeout: 20_000 }),
    start(program, ...args) {
      const child = spawn('nsenter', [`--net=${path}`, program, ...args], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      children.push(child);
      return child;
    },
    close() {
      for (const child of children) child.kill('SIGKILL');
      holder.kill('SIGKILL');
    },
  };
}
