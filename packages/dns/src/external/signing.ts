import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict } from '@cloudless/kube/status';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { policyDigest } from '../dnssec/apex.ts';
import { generateKey, type StoredKey } from '../dnssec/key.ts';
import {
  hasUnreadableKey,
  keysOfSecret,
  readKeyFolder,
  secretData,
  type StoredKeys,
  writeKeyFiles,
} from '../dnssec/key-store.ts';
import { keysSecret } from '../dnssec/key-secret.ts';
import { ServedSigning } from '../dnssec/served-signing.ts';
import { signingPolicyAt } from '../dnssec/policy.ts';
import { resignAfterMs, signingEpoch } from '../dnssec/sign-zone.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import type { ExternalDnsConfig } from './config.ts';
import type { ZoneSigning } from './publisher.ts';

/** The keys of signed zones: read, made when missing, and put to use as their times say. */
export interface ZoneSignings extends Running {
  of(origin: string): ZoneSigning | undefined;
  readonly waitingFor: string | undefined;
  readonly problems: readonly ZoneProblem[];
  /** The Secret's informer, for revisions; undefined with a folder. */
  readonly informer: Informer<Secret> | undefined;
  /** Signs what the main thread sends out: zones for transfer, and answers of its own. */
  readonly served: ServedSigning;
  /** Another configuration is in force. */
  reload(): void;
}

export interface SigningOptions {
  config(): Pick<ExternalDnsConfig, 'dnssec'>;
  /** Where the keys are: in the Secret, or with no cluster in a folder of files as BIND has them. */
  keys: { client: KubeClient; namespace: string } | { folder: string };
  /** The signing of these zones may have changed. */
  onChange(origins: readonly string[]): void;
  log: Logger;
  clock?: Clock | undefined;
}

/** Longest wait that a timer can have. */
const maxTimerMs = 2 ** 31 - 1;
const retryMs = 5000;

export function startSigning(options: SigningOptions): ZoneSignings {
  const { keys: place, log, clock = systemClock } = options;
  const stopping = new AbortController();
  let stored: StoredKeys = { keys: new Map(), problems: [], unreadable: [] };
  let signings = new Map<string, ZoneSigning>();
  let timer: ClockTimer | undefined;
  let making: Promise<void> | undefined;
  let isRead = false;
  const served = new ServedSigning(clock);
  const isInCluster = 'client' in place;
  const informer = isInCluster
    ? startInformer<Secret>({
        client: place.client,
        namespace: place.namespace,
        resource: core.secrets,
        fieldSelector: `metadata.name=${keysSecret}`,
        log,
        clock,
      })
    : undefined;
  const current = (): Secret | undefined => informer?.store.list()[0];

  const judge = (): void => {
    if (stopping.signal.aborted) return;
    const nowMs = clock.nowMs();
    const next = new Map<string, ZoneSigning>();
    let wakeMs = maxTimerMs;
    for (const [origin, { denial, cds }] of options.config().dnssec) {
      const keys = stored.keys.get(origin);
      if (!keys) continue;
      const { policy, changesAtMs } = signingPolicyAt({ keys, denial, cds, nowMs });
      if (changesAtMs !== undefined) wakeMs = Math.min(wakeMs, changesAtMs - nowMs);
      if (policy) wakeMs = Math.min(wakeMs, resignAfterMs(origin, policy, nowMs));
      const epoch = policy ? String(signingEpoch(origin, policy, nowMs)) : '';
      const digest = policy ? `${policyDigest(policy)} ${epoch}` : '';
      const before = signings.get(origin);
      next.set(origin, before?.digest === digest ? before : { policy, digest, epoch });
    }
    const changed = new Set([...signings.keys(), ...next.keys()]);
    for (const origin of Array.from(changed))
      if (signings.get(origin) === next.get(origin)) changed.delete(origin);
      else if (!next.has(origin)) served.forget(origin);
    signings = next;
    timer?.cancel();
    timer = clock.setTimeout(judge, Math.max(1, Math.min(maxTimerMs, wakeMs)));
    if (changed.size > 0) options.onChange([...changed]);
  };
  const missing = (): string[] =>
    [...options.config().dnssec.keys()].filter(
      (origin) => !stored.keys.has(origin) && !hasUnreadableKey(stored, origin),
    );
  /** What was read last: a key that is damaged signs on as it was, one whose entry is gone comes back. */
  const lastGood = new Map<string, readonly StoredKey[]>();
  const take = (fresh: StoredKeys): void => {
    const keys = new Map(fresh.keys);
    for (const origin of options.config().dnssec.keys()) {
      const known = lastGood.get(origin);
      if (known && hasUnreadableKey(fresh, origin)) keys.set(origin, known);
      const now = keys.get(origin);
      if (now) lastGood.set(origin, now);
    }
    stored = { ...fresh, keys };
  };

  const read = (): void => {
    if (isInCluster) {
      if (!informer?.hasSynced) return;
      take(keysOfSecret(current()?.data ?? {}));
    } else take(readKeyFolder(place.folder));
    isRead = true;
    for (const problem of stored.problems) log.warn({}, problem);
    if (missing().length === 0) return judge();
    making ??= make().finally(() => (making = undefined));
  };

  const make = async (): Promise<void> => {
    const fresh = missing().flatMap(
      (origin) => lastGood.get(origin) ?? [generateKey({ origin, nowMs: clock.nowMs() })],
    );
    try {
      if (isInCluster) await storeKeys(place.client, place.namespace, current(), fresh, stopping.signal);
      else for (const key of fresh) writeKeyFiles(place.folder, key);
      for (const { origin, keyTag } of fresh)
        log.info({ zone: origin, keyTag }, 'stored a key of the zone; its DS belongs at the parent');
      if (!isInCluster) {
        take(readKeyFolder(place.folder));
        judge();
      }
    } catch (error) {
      if (stopping.signal.aborted) return;
      // Another replica was first: its keys come by the watch.
      if (!isConflict(error) && !isAlreadyExists(error))
        log.warn({ err: String(error) }, 'cannot store the keys of signed zones');
      timer?.cancel();
      timer = clock.setTimeout(read, retryMs);
    }
  };
  informer?.addHandler({ add: read, update: read, delete: read });
  informer?.synced.then(read, () => {});
  if (!isInCluster) read();
  return {
    of: (origin) => signings.get(origin),
    informer,
    served,
    get waitingFor() {
      const isWaiting =
        !isRead ||
        [...options.config().dnssec.keys()].some(
          (origin) => !signings.has(origin) && !hasUnreadableKey(stored, origin),
        );
      return isWaiting
        ? isInCluster
          ? `the keys in Secret ${keysSecret}`
          : 'the keys of signed zones'
        : undefined;
    },
    get problems() {
      return stored.problems.map((message) => ({ severity: 'error' as const, place: undefined, message }));
    },
    reload: read,
    ...running(async () => {
      stopping.abort(new Error('signing is stopped'));
      timer?.cancel();
      served.stop();
      await informer?.stop();
      await making;
    }),
  };
}

/** Adds keys to the Secret, against the version that was looked at: of two replicas one wins. */
async function storeKeys(
  client: KubeClient,
  namespace: string,
  secret: Secret | undefined,
  keys: readonly StoredKey[],
  signal: AbortSignal,
): Promise<void> {
  const data = secretData(keys);
  const call = { namespace, signal, fieldManager: 'cloudless-dns' };
  if (!secret) {
    const fresh: Secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: keysSecret, namespace },
      type: 'Opaque',
      data,
    };
    await client.create(core.secrets, fresh, call);
    return;
  }
  const { resourceVersion } = secret.metadata;
  await client.patch(core.secrets, keysSecret, 'merge', { metadata: { resourceVersion }, data }, call);
}
