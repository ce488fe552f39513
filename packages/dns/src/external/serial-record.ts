import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { type Revisions, type SerialEntry, compareVersions } from './serial.ts';

/** The ConfigMap in our namespace that has the serials, one key a zone. */
export const serialsConfigMap = 'serials';

/** Where the serials of all zones are kept, for all replicas. */
export interface SerialRecord extends Running {
  /** Undefined: nothing is recorded. Meaningful once {@link SerialRecord.synced} has resolved. */
  entry(origin: string): SerialEntry | undefined;
  origins(): string[];
  readonly synced: Promise<void>;
  readonly hasSynced: boolean;
  /** Why it was not reached the last time. */
  readonly lastError: unknown;
  /**
   * Writes these entries (undefined: takes them away), all or none, unless somebody else wrote meanwhile: then resolves to
   * false, with what they wrote known here. Rejects as the API does.
   */
  write(changes: ReadonlyMap<string, SerialEntry | undefined>): Promise<boolean>;
  /** Hears when an entry may have changed. Returns the function that ends it. */
  onChange(listener: (origins: readonly string[]) => void): () => void;
}

/** The record in the cluster's API, written by compare-and-swap on the ConfigMap's version. */
export function watchSerialRecord(options: {
  client: KubeClient;
  namespace: string;
  log: Logger;
  clock?: Clock | undefined;
}): SerialRecord {
  const { client, namespace, log } = options;
  const listeners = new Set<(origins: readonly string[]) => void>();
  const stopping = new AbortController();
  let version = '';
  let entries = new Map<string, SerialEntry>();
  let texts: Readonly<Record<string, string>> = {};

  const take = (map: ConfigMap | undefined, takenVersion: string): void => {
    // The informer may be behind what a write or a read has told.
    if (map && compareVersions(takenVersion, version) <= 0) return;
    version = map ? takenVersion : '';
    const data = map?.data ?? {};
    const changed: string[] = [];
    const next = new Map<string, SerialEntry>();
    for (const [key, text] of Object.entries(data)) {
      const origin = originOf(key);
      const old = entries.get(origin);
      if (old && texts[key] === text) next.set(origin, old);
      else {
        changed.push(origin);
        const entry = parseEntry(text);
        if (entry) next.set(origin, entry);
        else
          log.warn({ zone: origin }, `ConfigMap ${namespace}/${serialsConfigMap} has no serial of this zone`);
      }
    }
    for (const origin of entries.keys()) if (!next.has(origin)) changed.push(origin);
    entries = next;
    texts = data;
    if (changed.length > 0) for (const listener of listeners) listener(changed);
  };
  const informer = startInformer({
    client,
    resource: core.configmaps,
    namespace,
    fieldSelector: `metadata.name=${serialsConfigMap}`,
    log,
    clock: options.clock,
  });
  const takeObject = (map: ConfigMap): void => take(map, map.metadata.resourceVersion ?? '');
  informer.addHandler({
    add: takeObject,
    update: takeObject,
    delete: (map) => {
      if (compareVersions(map.metadata.resourceVersion ?? '', version) >= 0) take(undefined, '');
    },
  });

  const store = async (changes: ReadonlyMap<string, SerialEntry | undefined>): Promise<ConfigMap> => {
    const data = Object.fromEntries(
      [...changes].map(([origin, entry]) => [keyOf(origin), entry ? JSON.stringify(entry) : null]),
    );
    const call = { namespace, signal: stopping.signal, fieldManager: 'cloudless-dns' };
    if (version === '')
      return await client.create(
        core.configmaps,
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: serialsConfigMap, namespace },
          data: Object.fromEntries(
            Object.entries(data).filter((entry): entry is [string, string] => entry[1] !== null),
          ),
        },
        call,
      );
    return await client.patch(
      core.configmaps,
      serialsConfigMap,
      'merge',
      { metadata: { resourceVersion: version }, data },
      call,
    );
  };
  return {
    entry: (origin) => entries.get(origin),
    origins: () => [...entries.keys()],
    synced: informer.synced,
    get hasSynced() {
      return informer.hasSynced;
    },
    get lastError() {
      return informer.lastError;
    },
    async write(changes) {
      try {
        takeObject(await store(changes));
        return true;
      } catch (error) {
        if (!isConflict(error) && !isAlreadyExists(error) && !isNotFound(error)) throw error;
        await refresh(client, namespace, stopping.signal).then((map) =>
          take(map, map?.metadata.resourceVersion ?? ''),
        );
        return false;
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ...running(async () => {
      stopping.abort(new Error('the record of serials is stopped'));
      await informer.stop();
    }),
  };
}

async function refresh(
  client: KubeClient,
  namespace: string,
  signal: AbortSignal,
): Promise<ConfigMap | undefined> {
  try {
    return await client.get(core.configmaps, serialsConfigMap, { namespace, signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const hexPrefix = 'hex.';

/** Keys of a ConfigMap cannot have every character that a zone's name can: those names stand in hexadecimal. */
function keyOf(origin: string): string {
  if (/^[a-z0-9_-][-._a-z0-9]*$/.test(origin) && !origin.startsWith(hexPrefix)) return origin;
  return hexPrefix + Buffer.from(origin).toString('hex');
}

function originOf(key: string): string {
  return key.startsWith(hexPrefix) ? Buffer.from(key.slice(hexPrefix.length), 'hex').toString() : key;
}

/** Somebody may have edited it by hand: what is no entry counts as none. */
function parseEntry(text: string): SerialEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { serial, contentHash, revisions } = value as Record<string, unknown>;
  const isNumber = Number.isInteger(serial) && (serial as number) >= 0 && (serial as number) < 2 ** 32;
  if (!isNumber || typeof contentHash !== 'string' || typeof revisions !== 'object') return undefined;
  const kept: Record<string, string> = {};
  for (const [resource, version] of Object.entries((revisions ?? {}) as Record<string, unknown>))
    if (typeof version === 'string' && /^\d+$/.test(version)) kept[resource] = version;
  return { serial: serial as number, contentHash, revisions: kept satisfies Revisions };
}
