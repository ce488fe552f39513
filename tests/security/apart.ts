// A victim in a process of its own: its memory and its event loop are seen from outside only.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type ShortTimeouts, type Victim, victimOf, type VictimFacts } from './victim.ts';

const stopMs = 10_000;

/** Starts the process; throws when it ends before it serves. */
export async function startVictimApart(timeouts: ShortTimeouts = {}): Promise<Victim> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'victim-process.ts')],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TIMEOUTS: JSON.stringify(timeouts) } },
  );
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), exited.then(() => undefined)]);
  if (!first) throw new Error('the server under attack ended before it served');
  return victimOf(JSON.parse(first[0] as string) as VictimFacts, async () => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await exited;
    clearTimeout(timer);
  });
}
