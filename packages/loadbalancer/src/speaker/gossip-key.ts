import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Clock, sleep } from '@cloudless/kube/clock';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { metallbKey } from '../gossip/key.ts';
import { memberlistSecret, secretField } from '../gossip/secret.ts';

const firstRetryMs = 250;
const longestRetryMs = 10_000;

/** The key that {@link keepKey} wrote; undefined: there is none. */
export function keptKey(path: string): Uint8Array | undefined {
  try {
    const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64');
    return key.length === 32 ? key : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the key where only its owner can read it. */
export function keepKey(path: string, key: Uint8Array): void {
  writeFileSync(`${path}.tmp`, `${Buffer.from(key).toString('base64')}\n`, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

/**
 * Waits for the Secret `memberlist`, which the controller makes, and derives the key of it. Resolves with undefined
 * when `signal` aborts before. Gossip in plain text is no substitute: whoever can send a packet could move addresses.
 */
export async function waitForKey(options: {
  client: KubeClient;
  namespace: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<Uint8Array | undefined> {
  const { client, namespace, clock, log, signal } = options;
  let delayMs = firstRetryMs;
  let said = '';
  while (!signal.aborted) {
    let why: string;
    try {
      const secret = await client.get(core.secrets, memberlistSecret, { namespace, signal });
      const text = secret.data?.[secretField];
      const key = text === undefined ? undefined : metallbKey(Buffer.from(text, 'base64'));
      if (key) return key;
      why = `the Secret ${namespace}/${memberlistSecret} has no ${secretField}: delete it, and the controller makes another`;
    } catch (error) {
      if (signal.aborted) return undefined;
      why = isNotFound(error)
        ? `waiting for the controller to make the Secret ${namespace}/${memberlistSecret}`
        : `cannot read the Secret ${namespace}/${memberlistSecret}: ${(error as Error).message}`;
    }
    if (why !== said) log.info(why);
    said = why;
    await sleep(clock, delayMs, signal);
    delayMs = Math.min(delayMs * 2, longestRetryMs);
  }
  return undefined;
}
