import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { groupResourceOf } from '@cloudless/kube/object';
import { SelectorError } from '@cloudless/kube/selector/selector';
import type { ServedSigning } from '../dnssec/served-signing.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import type { Zones } from '../zone/zones.ts';
import { watchConfig } from '../values/watch.ts';
import { type Acknowledger, startAcknowledger } from './acknowledger.ts';
import { isConfiguration } from './await-configuration.ts';
import { ZoneComposer } from './composer.ts';
import type { ExternalDnsConfig } from './config.ts';
import type { ConfigSource } from './external-dns.ts';
import { type Publisher, startPublisher } from './publisher.ts';
import { dnsEndpoints } from './kinds.ts';
import type { ObjectReference } from './records.ts';
import { type PlacedProblem, startReporter } from './reporter.ts';
import type { Retention } from './retention.ts';
import { RevisionTracker } from './revisions.ts';
import { watchSerialRecord } from './serial-record.ts';
import type { ZoneSignings } from './signing.ts';
import type { SourceSet, SourceSettings, SourceStatus } from './sources/source-set.ts';
import { type ServedObjects, ServedVersions } from './served-objects.ts';
import { watchSources } from './sources/sources.ts';
import { referenceOf } from './wanted.ts';

export interface ContentOptions {
  client: KubeClient | undefined;
  config: ConfigSource;
  namespace: string;
  zones: Zones;
  /** Folder of DNSSEC keys where there is no cluster. */
  keysFolder: string | undefined;
  events: EventRecorder | undefined;
  /** A configuration is in force that differs from the one before. */
  onConfig(config: ExternalDnsConfig): void;
  log: Logger;
  clock?: Clock | undefined;
}

/** What is served: from the configuration and the cluster into `zones`. */
export interface Content extends Running {
  readonly publisher: Publisher;
  readonly composer: ZoneComposer;
  /** Which versions of our DNSEndpoints are served. */
  readonly servedObjects: ServedObjects;
  /** Undefined until the first good one. */
  readonly config: ExternalDnsConfig | undefined;
  /** Undefined while no zone is signed. */
  readonly signing: ServedSigning | undefined;
  problems(): readonly ZoneProblem[];
  sources(): SourceStatus[];
}

/** Starts everything that decides what is served; nothing that serves it. */
export function startContent(options: ContentOptions): Content {
  return new WatchedContent(options);
}

class WatchedContent implements Content {
  readonly composer = new ZoneComposer();
  readonly publisher: Publisher;
  readonly servedObjects = new ServedVersions((origin) => this.publisher.pending.has(origin));
  config: ExternalDnsConfig | undefined;
  readonly #options: ContentOptions;
  readonly #clock: Clock;
  readonly #tracker = new RevisionTracker();
  readonly #configuration: ReturnType<typeof watchConfig>;
  readonly #reporter: ReturnType<typeof startReporter>;
  readonly #acknowledger: Acknowledger | undefined;
  readonly #parts: Running[] = [];
  readonly #ending = new Set<Promise<void>>();
  readonly #running: Running;
  #problems: readonly ZoneProblem[] = [];
  /** In force, but not composed yet. */
  #isConfigNew = false;
  #sources: SourceSet | undefined;
  #areSourcesNew = false;
  #settings: SourceSettings | undefined;
  #sourceProblem: string | undefined;
  #signing: ZoneSignings | 'loading' | undefined;
  #retention: Retention | 'loading' | undefined;
  #isStopped = false;

  constructor(options: ContentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { client, namespace, log, zones } = options;
    this.#acknowledger = client && startAcknowledger({ client, log });
    const serials = client && watchSerialRecord({ client, namespace, log, clock: this.#clock });
    this.publisher = startPublisher({
      composer: this.composer,
      zones,
      serials,
      tracker: this.#tracker,
      waitingFor: () =>
        this.#waitingFor() ?? (serials && !serials.hasSynced ? 'the recorded serials' : undefined),
      refresh: () => this.#refresh(),
      signing: (origin) => (typeof this.#signing === 'object' ? this.#signing.of(origin) : undefined),
      prunes: options.config.from === 'cluster',
      onPublished: () => this.servedObjects.published(),
      onRound: () => {
        this.#reporter.look();
        if (this.publisher.waitingFor !== undefined) return;
        this.#acknowledger?.published();
        if (typeof this.#retention === 'object') this.#retention.look();
      },
      log,
      clock: this.#clock,
    });
    serials?.synced.then(
      () => this.publisher.poke(),
      () => {},
    );
    this.#reporter = startReporter({
      composer: this.composer,
      problems: () => this.#placedProblems(),
      events: options.events,
      log,
      clock: this.#clock,
    });
    this.#configuration = watchConfig({
      source: options.config,
      client,
      namespace,
      clock: this.#clock,
      log,
      onConfig: (config) => this.#configured(config),
      onProblems: (problems) => {
        this.#problems = problems;
        this.publisher.poke();
      },
    });
    for (const informer of this.#configuration.informers)
      // Secrets are in no zone's content, and of the ConfigMaps only some.
      if (informer.resource.kind === 'ConfigMap')
        this.#tracker.track('configmaps', informer, isConfiguration);
    this.#parts.push(this.publisher, this.#reporter, this.#configuration);
    if (serials) this.#parts.push(serials);
    if (this.#acknowledger) this.#parts.push(this.#acknowledger);
    this.#running = running(() => this.#end());
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  get signing(): ServedSigning | undefined {
    return typeof this.#signing === 'object' ? this.#signing.served : undefined;
  }

  problems(): readonly ZoneProblem[] {
    const signing = typeof this.#signing === 'object' ? this.#signing.problems : [];
    const source: ZoneProblem[] =
      this.#sourceProblem === undefined
        ? []
        : [{ severity: 'error', place: undefined, message: this.#sourceProblem }];
    return [...this.#problems, ...signing, ...source];
  }

  sources(): SourceStatus[] {
    const configuration = this.#configuration.informers.map((informer) => ({
      resource: groupResourceOf(informer.resource),
      synced: informer.hasSynced,
      objects: informer.store.size,
      error: informer.lastError instanceof Error ? informer.lastError.message : undefined,
    }));
    return [...configuration, ...(this.#sources?.status() ?? [])];
  }

  async #end(): Promise<void> {
    this.#isStopped = true;
    await this.publisher.stop();
    await Promise.all(this.#parts.map((part) => part.stop()));
    if (typeof this.#signing === 'object') await this.#signing.stop();
    if (typeof this.#retention === 'object') await this.#retention.stop();
    await this.#sources?.stop();
    await Promise.all(this.#ending);
  }

  #waitingFor(): string | undefined {
    // A configuration that is about to come may begin to watch more.
    this.#configuration.flush();
    if (!this.config)
      return this.#problems.find(({ severity }) => severity === 'error')?.message ?? 'the configuration';
    const source = this.#sources?.waitingFor;
    if (source !== undefined) {
      const error = this.#sources?.status().find(({ resource }) => resource === source)?.error;
      return `${source}${error === undefined ? '' : `: ${error}`}`;
    }
    if (this.config.dnssec.size === 0) return undefined;
    return typeof this.#signing === 'object' ? this.#signing.waitingFor : 'the keys of signed zones';
  }

  #configured(config: ExternalDnsConfig): void {
    this.config = config;
    this.#isConfigNew = true;
    this.#watchSources(config);
    this.#watchSigning(config);
    this.#watchRetention(config);
    this.#options.onConfig(config);
    this.publisher.poke();
  }

  /** Puts what changed into the composer; returns the zones that are gone. */
  #refresh(): readonly string[] {
    const sources = this.#sources;
    if (sources && sources.waitingFor === undefined) {
      if (this.#areSourcesNew) this.servedObjects.clear();
      const changes = sources.take();
      if (this.#areSourcesNew)
        for (const id of this.composer.ids()) if (!changes.has(id)) this.composer.setWish(id, undefined);
      this.#areSourcesNew = false;
      for (const [id, wish] of changes) this.composer.setWish(id, wish);
    }
    if (!this.#isConfigNew || !this.config) return [];
    this.#isConfigNew = false;
    return this.composer.setTexts(this.config.zones);
  }

  #watchSources(config: ExternalDnsConfig): void {
    const { client, namespace, log } = this.#options;
    const { sources, policy, managedRecordTypes, annotationFilter, labelFilter, defaultTtlSeconds } = config;
    const settings = {
      sources,
      policy,
      managedRecordTypes,
      annotationFilter,
      labelFilter,
      defaultTtlSeconds,
    };
    if (!client || this.#isStopped || isDeepStrictEqual(settings, this.#settings)) return;
    const ownEndpoints = `${groupResourceOf(dnsEndpoints)} ${namespace}/`;
    let fresh: SourceSet;
    try {
      fresh = watchSources({
        client,
        settings,
        namespace,
        tracker: this.#tracker,
        log,
        clock: this.#clock,
        onChange: () => this.publisher.poke(),
        read: (object) => this.#acknowledger?.read(object),
        onTake: (id, object) => {
          if (id.startsWith(ownEndpoints))
            this.servedObjects.take(id.slice(ownEndpoints.length), object?.metadata.resourceVersion);
        },
      });
      this.#sourceProblem = undefined;
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#sourceProblem = `externalDNS.annotationFilter or labelFilter is no selector: ${error.message}; what was good before stays in force`;
      return;
    }
    const old = this.#sources;
    this.#settings = settings;
    this.#sources = fresh;
    this.#areSourcesNew = true;
    if (!old) return;
    const ended = old.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** Under the policy upsert-only, which few have. */
  #watchRetention({ policy }: ExternalDnsConfig): void {
    const { client, namespace, log } = this.#options;
    if (policy === 'sync') {
      if (typeof this.#retention === 'object') void this.#retention.stop();
      this.#retention = undefined;
      return;
    }
    if (!client || this.#retention) return;
    this.#retention = 'loading';
    const loaded = import('./retention.ts')
      .then(({ startRetention }) => {
        if (this.#isStopped || this.config?.policy !== 'upsert-only') return;
        this.#retention = startRetention({
          client,
          namespace,
          composer: this.composer,
          log,
          clock: this.#clock,
        });
        this.publisher.poke();
      })
      .finally(() => this.#ending.delete(loaded));
    this.#ending.add(loaded);
  }

  /** Loaded with the first signed zone only. */
  #watchSigning(config: ExternalDnsConfig): void {
    if (typeof this.#signing === 'object') this.#signing.reload();
    if (config.dnssec.size === 0 || this.#signing) return;
    const { client, namespace, keysFolder, log } = this.#options;
    if (!client && keysFolder === undefined) {
      this.#sourceProblem =
        'dnssec needs keys: with no cluster, name a folder of key files as BIND makes them';
      return;
    }
    this.#signing = 'loading';
    const loaded = import('./signing.ts')
      .then(({ startSigning }) => {
        if (this.#isStopped) return;
        this.#signing = startSigning({
          config: () => this.config as ExternalDnsConfig,
          keys: client ? { client, namespace } : { folder: keysFolder as string },
          onChange: (origins) => this.publisher.poke(origins),
          log,
          clock: this.#clock,
        });
        if (this.#signing.informer) this.#tracker.track('secrets/dnssec-keys', this.#signing.informer);
        this.publisher.poke();
      })
      .finally(() => this.#ending.delete(loaded));
    this.#ending.add(loaded);
  }

  /** What is wrong with the configuration and with zones, with the objects that it stands in. */
  #placedProblems(): PlacedProblem[] {
    const problems = this.problems();
    const written = Array.from(this.composer.composed, ({ origin }) => this.composer.problems(origin)).flat();
    return [...problems, ...written].map((problem) => ({ ...problem, subject: this.#subjectOf(problem) }));
  }

  #subjectOf({ place }: ZoneProblem): ObjectReference | undefined {
    const match = /^(ConfigMap|Secret) (\S+\/\S+) key /.exec(place?.source ?? '');
    if (!match) return undefined;
    const informer = this.#configuration.informers.find(({ resource }) => resource.kind === match[1]);
    const object = informer?.store.get(match[2] as string);
    return object && referenceOf(object, 'v1', match[1] as string);
  }
}
