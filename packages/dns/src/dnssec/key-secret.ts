import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import { KeyError, type StoredKey } from './key.ts';
import { hasUnreadableKey, keysOfSecret, secretData } from './key-store.ts';

/** The Secret in our namespace that has the keys. */
export const keysSecret = 'dnssec-keys';

const changeTries = 5;

export interface KeySecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ZoneKeys {
  readonly keys: readonly StoredKey[];
  /** Names of their entries, which somebody may have called otherwise than we do. */
  readonly entries: readonly string[];
  /** Of the Secret; undefined: there is none. */
  readonly resourceVersion: string | undefined;
}

/** The keys of a zone in the Secret; none when there is no Secret. Rejects with {@link KeyError} when one is damaged. */
export async function zoneKeys(
  { client, namespace, signal }: KeySecretOptions,
  origin: string,
): Promise<ZoneKeys> {
  try {
    const { data, metadata } = await client.get(core.secrets, keysSecret, { namespace, signal });
    const stored = keysOfSecret(data ?? {});
    const damaged = stored.problems.filter(() => hasUnreadableKey(stored, origin));
    if (damaged.length > 0) throw new KeyError(damaged.join('\n'));
    const entries = Object.entries(data ?? {})
      .filter(([name, value]) => keysOfSecret({ [name]: value }).keys.has(origin))
      .map(([name]) => name);
    return { keys: stored.keys.get(origin) ?? [], entries, resourceVersion: metadata.resourceVersion };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { keys: [], entries: [], resourceVersion: undefined };
  }
}

/**
 * Changes the keys of a zone, as `beginRollover` and `retireReplaced` do; keys that it leaves out
 * go, other zones' entries stay. Resolves to the keys as stored. Rejects as `change` throws, with {@link KeyError} when the zone has no keys yet,
 * and as the API does.
 */
export async function changeKeys(
  options: KeySecretOptions,
  origin: string,
  change: (keys: readonly StoredKey[]) => readonly StoredKey[],
): Promise<readonly StoredKey[]> {
  const { client, namespace, signal } = options;
  for (let triesLeft = changeTries; ; triesLeft--) {
    const { keys, entries, resourceVersion } = await zoneKeys(options, origin);
    if (keys.length === 0)
      throw new KeyError(`${origin}. has no keys in Secret ${namespace}/${keysSecret}: sign it first`);
    const changed = change(keys);
    const data = { ...Object.fromEntries(entries.map((name) => [name, null])), ...secretData(changed) };
    try {
      await client.patch(
        core.secrets,
        keysSecret,
        'merge',
        { metadata: { resourceVersion }, data },
        { namespace, signal, fieldManager: 'cloudless-dns' },
      );
      return changed;
    } catch (error) {
      if (!isConflict(error) || triesLeft === 1) throw error;
    }
  }
}
