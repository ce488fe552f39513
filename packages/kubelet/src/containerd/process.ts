import { readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';

/** A process told apart from a later one with the same number. */
export interface ProcessId {
  pid: number;
  /** Start time in clock ticks since boot (proc(5), field 22 of stat). */
  startTicks: string;
}

/** What the pid file of the private containerd holds. */
export interface PidRecord extends ProcessId {
  /** SHA-256 of the configuration it was started with. */
  configDigest: string;
}

function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name in parentheses, may hold spaces.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Undefined when there is no such process. */
export function identify(pid: number): ProcessId | undefined {
  const startTicks = statFields(pid)?.[19];
  return startTicks === undefined ? undefined : { pid, startTicks };
}

/** False for a zombie too: it serves nobody. */
export function isAlive(process: ProcessId): boolean {
  const fields = statFields(process.pid);
  return fields !== undefined && fields[19] === process.startTicks && fields[0] !== 'Z' && fields[0] !== 'X';
}

export function writePidRecord(path: string, record: PidRecord): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The record of a process that still runs; a file that is stale, broken or missing gives undefined. */
export function readPidRecord(path: string): PidRecord | undefined {
  let record: PidRecord;
  try {
    record = JSON.parse(readFileSync(path, 'utf8')) as PidRecord;
  } catch {
    return undefined;
  }
  return Number.isInteger(record.pid) && record.pid > 1 && isAlive(record) ? record : undefined;
}

/** Every process and its arguments; processes that end meanwhile are left out. */
export function listProcesses(): Array<{ pid: number; parent: number; args: string[] }> {
  const found = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const fields = statFields(pid);
    if (!fields) continue;
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      found.push({ pid, parent: Number(fields[1]), args: args.slice(0, -1) });
    } catch {
      // it ended
    }
  }
  return found;
}

/** The shims that keep the pods of the containerd at `socketPath` running, whether it runs or not. */
export function listShims(socketPath: string): number[] {
  return listProcesses()
    .filter(({ args }) => {
      const at = args.indexOf('-address');
      return at > 0 && args[at + 1] === socketPath && (args[0] ?? '').includes('containerd-shim');
    })
    .map(({ pid }) => pid);
}

/** Sends `signal`; a process that is gone already is no error. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Resolves true once the process has ended, false after `timeoutMs`. */
export async function waitEnded(process: ProcessId, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isAlive(process)) {
    if (performance.now() >= end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
