import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { Pod, PodStatus } from '@cloudless/kube/types/core-v1';
import type { StatusSink } from '../worker/services.ts';
import { same, statusPatch } from './patch.ts';

interface Entry {
  pod: Pod;
  status: PodStatus | undefined;
  /** Nothing of it runs: the API object may go. */
  finished: boolean;
  /** The API's object as last written by us. */
  written: Pod | undefined;
  /** What we sent last, and when: an API that changes what it is given is not written to over and over. */
  last: { patch: object; atMs: number } | undefined;
  dirty: boolean;
  busy: boolean;
  tries: number;
  timer: ClockTimer | undefined;
}

export interface StatusWriterOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** The API's object of a pod as last seen: the pod itself, or the mirror of a static one. */
  stored(pod: Pod): Pod | undefined;
}

const maxParallel = 16;
const firstRetryMs = 500;
const longestRetryMs = 10_000;
const sameAgainMs = 10_000;

/**
 * Takes statuses of pods to the API (upstream: status manager): only what changed, newest last, again when
 * someone else overwrote it; and deletes a pod that was to be deleted once nothing of it runs.
 */
export class StatusWriter implements StatusSink {
  readonly #options: StatusWriterOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #ready = new Set<string>();
  #inFlight = 0;
  #stopped = new AbortController();
  #idle: Array<() => void> = [];

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  publish(pod: Pod, status: PodStatus): void {
    const entry = this.#entry(pod);
    entry.pod = pod;
    entry.status = status;
    this.#mark(pod.metadata.uid!, entry);
  }

  finished(pod: Pod): void {
    const entry = this.#entry(pod);
    entry.pod = pod;
    entry.finished = true;
    this.#mark(pod.metadata.uid!, entry);
  }

  /** The API's object of a pod changed: what differs from ours is written again. */
  reconcile(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry) this.#mark(uid, entry);
  }

  forget(uid: string): void {
    this.#entries.get(uid)?.timer?.cancel();
    this.#entries.delete(uid);
    this.#ready.delete(uid);
  }

  /** Resolves when everything published so far is written, or has failed once. */
  async flush(): Promise<void> {
    while (this.#inFlight > 0 || this.#ready.size > 0) {
      if (this.#stopped.signal.aborted) return;
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const entry of this.#entries.values()) entry.timer?.cancel();
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #entry(pod: Pod): Entry {
    const uid = pod.metadata.uid!;
    let entry = this.#entries.get(uid);
    if (!entry) {
      entry = {
        pod,
        status: undefined,
        finished: false,
        written: undefined,
        last: undefined,
        dirty: false,
        busy: false,
        tries: 0,
        timer: undefined,
      };
      this.#entries.set(uid, entry);
    }
    return entry;
  }

  #mark(uid: string, entry: Entry): void {
    entry.dirty = true;
    if (entry.busy || entry.timer) return;
    this.#ready.add(uid);
    this.#pump();
  }

  #pump(): void {
    while (this.#inFlight < maxParallel && !this.#stopped.signal.aborted) {
      const [uid] = this.#ready;
      if (uid === undefined) break;
      this.#ready.delete(uid);
      const entry = this.#entries.get(uid);
      if (!entry) continue;
      entry.busy = true;
      entry.dirty = false;
      this.#inFlight++;
      void this.#write(uid, entry).finally(() => {
        entry.busy = false;
        this.#inFlight--;
        if (entry.dirty && this.#entries.get(uid) === entry && !entry.timer) this.#ready.add(uid);
        this.#pump();
        if (this.#inFlight === 0 && this.#ready.size === 0)
          for (const resolve of this.#idle.splice(0)) resolve();
      });
    }
  }

  async #write(uid: string, entry: Entry): Promise<void> {
    try {
      await this.#writeStatus(entry);
      if (entry.finished) await this.#deletePod(entry);
      entry.tries = 0;
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return;
      if (this.#stopped.signal.aborted) return;
      const delayMs = Math.min(firstRetryMs * 2 ** entry.tries++, longestRetryMs);
      this.#options.log.debug(
        { pod: entry.pod.metadata.name, err: error, delayMs },
        'status not written; will be tried again',
      );
      this.#later(uid, entry, delayMs);
    }
  }

  #later(uid: string, entry: Entry, delayMs: number): void {
    entry.timer?.cancel();
    entry.timer = this.#options.clock.setTimeout(() => {
      entry.timer = undefined;
      if (this.#entries.get(uid) === entry) this.#mark(uid, entry);
    }, delayMs);
  }

  /** The newer of what a watch showed and what our last write answered. */
  #stored(entry: Entry): Pod | undefined {
    const seen = this.#options.stored(entry.pod);
    const { written } = entry;
    if (!written || !seen || written.metadata.uid !== seen.metadata.uid) return seen;
    return version(written) > version(seen) ? written : seen;
  }

  async #writeStatus(entry: Entry): Promise<void> {
    const stored = this.#stored(entry);
    const { status } = entry;
    if (!stored || !status) return;
    const patch = statusPatch(stored.metadata.uid!, stored.status ?? {}, status);
    if (!patch) return;
    const nowMs = this.#options.clock.nowMs();
    if (entry.last && nowMs - entry.last.atMs < sameAgainMs && same(entry.last.patch, patch)) {
      this.#later(stored.metadata.uid!, entry, sameAgainMs);
      return;
    }
    entry.written = await this.#options.client.patch(core.pods, stored.metadata.name!, 'strategic', patch, {
      namespace: stored.metadata.namespace,
      subresource: 'status',
      signal: this.#stopped.signal,
    });
    entry.last = { patch, atMs: nowMs };
  }

  async #deletePod(entry: Entry): Promise<void> {
    const stored = this.#stored(entry);
    if (!stored || stored.metadata.deletionTimestamp === undefined) return;
    // A mirror's deletion is its own business: the static pod is still wanted.
    if (stored.metadata.uid !== entry.pod.metadata.uid) return;
    await this.#options.client.delete(core.pods, stored.metadata.name!, {
      namespace: stored.metadata.namespace,
      gracePeriodSeconds: 0,
      preconditions: { uid: stored.metadata.uid! },
      signal: this.#stopped.signal,
    });
  }
}

const version = (pod: Pod): number => Number(pod.metadata.resourceVersion ?? '0');
