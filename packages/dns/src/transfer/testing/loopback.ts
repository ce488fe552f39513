import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isolate } from '@cloudless/network/testing/namespaces';
import { runTool } from './name-servers.ts';

/** A network namespace for this process, with these addresses on `lo`: BIND listens only on addresses that are there. */
export function isolateWith(addresses: readonly string[]): void {
  isolate();
  for (const address of addresses) execFileSync('ip', ['address', 'add', `${address}/8`, 'dev', 'lo']);
}

/** The serial that a server gives for a zone; undefined: none. */
export async function serialAt(address: string, origin: string): Promise<number | undefined> {
  const { text } = await runTool('dig', [`@${address}`, origin, 'SOA', '+short', '+tries=1', '+time=1']);
  const serial = Number(text.split(' ')[2]);
  return Number.isInteger(serial) ? serial : undefined;
}

/** Waits until `condition` holds; `describe` says what was wrong when it does not in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  describe: () => string,
  timeoutMs = 20_000,
): Promise<void> {
  const endsMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endsMs) throw new Error(`not within ${timeoutMs} ms: ${describe()}`);
    await sleep(20);
  }
}
