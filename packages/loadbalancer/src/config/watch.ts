import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Informer, InformerSet, startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { isForbidden } from '@cloudless/kube/status';
import type { Secret } from '@cloudless/kube/types/core-v1';
import type { LoadBalancerConfig } from './config.ts';
import { metallb } from './kinds.ts';
import { type ConfigurationObjects, parseConfiguration } from './parse.ts';
import { type ConfigurationProblem, problemText } from './problem.ts';

export interface WatchConfigurationOptions {
  client: KubeClient;
  /** Where the objects are; not given: in all namespaces. */
  namespace?: string | undefined;
  /** `pools`: IPAddressPools alone, so that nothing wrong with a peer keeps addresses from being given out. */
  kinds?: 'all' | 'pools' | undefined;
  /** `optional`: where Secrets may not be read, peers are judged without them. Default `needed`. */
  passwords?: 'needed' | 'optional' | undefined;
  /** Shared informers of the same namespace; not given: own ones. */
  informers?: InformerSet | undefined;
  /** Tells each problem at its object. One part of a cluster should; the others log. */
  events?: EventRecorder | undefined;
  log?: Pick<Logger, 'info' | 'warn' | 'debug' | 'error'> | undefined;
  clock?: Clock | undefined;
  signal?: AbortSignal | undefined;
}

/** The configuration of a cluster, kept up to date. While something is wrong, the last good one stays in force. */
export interface WatchedConfiguration extends Running {
  /** Undefined until a first good one was seen. */
  readonly config: LoadBalancerConfig | undefined;
  /** What keeps the newest state of the objects from coming into force. */
  readonly problems: readonly ConfigurationProblem[];
  /** All objects have been seen and judged once. */
  readonly synced: Promise<void>;
  /** Hears of each new configuration in force. Returns the way to unsubscribe. */
  subscribe(listener: (config: LoadBalancerConfig) => void): () => void;
  /** Hears of each judgement, good or bad. Returns the way to unsubscribe. */
  onJudged(listener: (problems: readonly ConfigurationProblem[]) => void): () => void;
}

/** Objects that are applied together are judged together. */
const settleMs = 50;
/** A problem that goes away by itself, as while a file is being applied, is not worth an Event. */
const reportAfterMs = 1000;
const passwordSecrets = 'type=kubernetes.io/basic-auth';

/** Watches the objects of `metallb.io`. Kinds that are not served yet are waited for. */
export function watchConfiguration(options: WatchConfigurationOptions): WatchedConfiguration {
  return new ConfigurationWatch(options);
}

class ConfigurationWatch implements WatchedConfiguration {
  config: LoadBalancerConfig | undefined;
  problems: readonly ConfigurationProblem[] = [];
  readonly synced: Promise<void>;
  readonly #options: WatchConfigurationOptions;
  readonly #clock: Clock;
  readonly #sources: { readonly [K in keyof ConfigurationObjects]: Informer<KubeObject> };
  readonly #secrets = new Map<string, Informer<Secret>>();
  /** Namespaces whose Secrets may not be read. */
  readonly #forbidden = new Set<string>();
  readonly #listeners = new Set<(config: LoadBalancerConfig) => void>();
  readonly #judgeListeners = new Set<(problems: readonly ConfigurationProblem[]) => void>();
  readonly #running: Running;
  #settling: ClockTimer | undefined;
  #reporting: ClockTimer | undefined;
  #digest = '';
  #reported: readonly ConfigurationProblem[] = [];
  #resolveSynced: () => void = () => undefined;

  constructor(options: WatchConfigurationOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { client, namespace, log, clock, signal } = options;
    const informers = options.informers ?? new InformerSet({ client, namespace, log, clock, signal });
    let reject: (error: Error) => void = () => undefined;
    this.synced = new Promise((resolve, rejectSynced) => {
      this.#resolveSynced = resolve;
      reject = rejectSynced;
    });
    this.synced.catch(() => undefined);
    const handlers: Array<() => void> = [];
    const source = <T extends KubeObject>(resource: Resource<T>): Informer<T> => {
      const informer = informers.of(resource);
      handlers.push(informer.addHandler(this.#handler()));
      informer.synced.then(() => this.#changed(), reject);
      return informer;
    };
    this.#sources =
      options.kinds === 'pools'
        ? { ipAddressPools: source(metallb.ipAddressPools) }
        : {
            ipAddressPools: source(metallb.ipAddressPools),
            l2Advertisements: source(metallb.l2Advertisements),
            bgpAdvertisements: source(metallb.bgpAdvertisements),
            bgpPeers: source(metallb.bgpPeers),
            bfdProfiles: source(metallb.bfdProfiles),
            communities: source(metallb.communities),
          };
    this.#running = running(async () => {
      for (const remove of handlers) remove();
      this.#settling?.cancel();
      this.#reporting?.cancel();
      reject(new Error('the watch of the configuration is stopped'));
      this.#listeners.clear();
      this.#judgeListeners.clear();
      await Promise.all([...this.#secrets.values()].map((informer) => informer.stop()));
      if (!options.informers) await informers.stop();
    });
  }

  subscribe(listener: (config: LoadBalancerConfig) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onJudged(listener: (problems: readonly ConfigurationProblem[]) => void): () => void {
    this.#judgeListeners.add(listener);
    return () => this.#judgeListeners.delete(listener);
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  /** What is only in an object's status or managed fields is no change of the configuration. */
  #handler(): { add(): void; update(object: KubeObject, old: KubeObject): void; delete(): void } {
    const changed = (): void => this.#changed();
    return {
      add: changed,
      delete: changed,
      update: (object, old) => {
        if (!isDeepStrictEqual(content(object), content(old))) changed();
      },
    };
  }

  #changed(): void {
    if (!Object.values(this.#sources).every((informer) => informer.hasSynced)) return;
    this.#settling ??= this.#clock.setTimeout(() => {
      this.#settling = undefined;
      try {
        this.#judge();
      } catch (error) {
        // Objects of another definition than ours: the last good configuration stays in force.
        this.#options.log?.error({ err: error }, 'the configuration could not be judged');
      }
    }, settleMs);
  }

  #judge(): void {
    const objects = Object.fromEntries(
      Object.entries(this.#sources).map(([kind, informer]) => [kind, informer.store.list()]),
    ) as ConfigurationObjects;
    if (!this.#watchSecrets(objects)) return;
    const secrets = [...this.#secrets.values()].flatMap((informer) => informer.store.list());
    const digest = JSON.stringify(
      [objects, secrets.map(({ metadata }) => [metadata.uid, metadata.resourceVersion])],
      (key, value: unknown) =>
        key === 'status' || key === 'managedFields' || key === 'resourceVersion' ? undefined : value,
    );
    if (digest === this.#digest) return this.#resolveSynced();
    this.#digest = digest;
    const unread = this.#options.passwords === 'optional' && this.#forbidden.size > 0;
    const parsed = parseConfiguration(objects, unread ? 'unread' : secrets);
    this.problems = 'config' in parsed ? [] : parsed.problems;
    this.#report([...this.problems, ...parsed.warnings]);
    if ('config' in parsed) this.#inForce(parsed.config);
    for (const listener of this.#judgeListeners) listener(this.problems);
    this.#resolveSynced();
  }

  #inForce(config: LoadBalancerConfig): void {
    this.config = config;
    this.#options.log?.info({ pools: config.pools.size, peers: config.peers.size }, 'configuration in force');
    for (const listener of this.#listeners) listener(config);
  }

  /** Secrets are looked at only where a peer names one. False while they are not all known. */
  #watchSecrets(objects: ConfigurationObjects): boolean {
    const { client, log, clock, signal } = this.#options;
    for (const { spec, metadata } of objects.bgpPeers ?? []) {
      const namespace = metadata.namespace ?? '';
      if (!spec.passwordSecret?.name || this.#secrets.has(namespace)) continue;
      const informer = startInformer<Secret>({
        client,
        resource: core.secrets,
        namespace,
        fieldSelector: passwordSecrets,
        log,
        clock,
        signal,
        onError: (error) => {
          if (!isForbidden(error) || this.#forbidden.has(namespace)) return;
          this.#forbidden.add(namespace);
          this.#changed();
        },
      });
      const changed = (): void => {
        this.#forbidden.delete(namespace);
        this.#changed();
      };
      informer.addHandler({ add: changed, update: changed, delete: changed });
      informer.synced.then(changed, () => undefined);
      this.#secrets.set(namespace, informer);
    }
    return [...this.#secrets].every(
      ([namespace, informer]) => informer.hasSynced || this.#forbidden.has(namespace),
    );
  }

  #report(found: readonly ConfigurationProblem[]): void {
    this.#reporting?.cancel();
    this.#reporting = undefined;
    if (found.length === 0) {
      this.#reported = [];
      return;
    }
    this.#reporting = this.#clock.setTimeout(() => {
      this.#reporting = undefined;
      const before = new Set(this.#reported.map(problemText));
      this.#reported = found;
      for (const one of found) if (!before.has(problemText(one))) this.#tell(one);
    }, reportAfterMs);
  }

  #tell(one: ConfigurationProblem): void {
    const invalid = this.problems.includes(one);
    const { kind, namespace, name, uid } = one.object;
    const text = `${one.field}: ${one.message}`;
    this.#options.log?.warn(
      { object: `${kind} ${namespace}/${name}`, field: one.field },
      invalid
        ? `configuration refused, the last good one stays in force: ${one.message}`
        : `configuration has a part without effect: ${one.message}`,
    );
    const apiVersion = kind === 'BGPPeer' ? 'metallb.io/v1beta2' : 'metallb.io/v1beta1';
    this.#options.events?.event(
      { apiVersion, kind, namespace, name, ...(uid === undefined ? {} : { uid }) },
      'Warning',
      invalid ? 'ConfigurationInvalid' : 'ConfigurationWithoutEffect',
      invalid ? `${text}; the last good configuration stays in force` : text,
    );
  }
}

const content = (object: KubeObject): unknown => [
  (object as { spec?: unknown }).spec,
  object.metadata.labels,
];
