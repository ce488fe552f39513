import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { isOfLedger, type Ledger, seqOf, type Verb } from './ledger.ts';

interface Seen {
  verb: Verb;
  /** What the object held; of a deletion, before it. */
  seq: number;
}

const retryMs = 20;
const verbs = { ADDED: 'create', MODIFIED: 'update', DELETED: 'delete' } as const;

/**
 * Watches ConfigMaps from one version on, resumes after every break from the last event's version, and keeps what it
 * saw. It never lists: what a resumed watch leaves out stays missing.
 */
export class WatchRecord {
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #seen = new Map<string, Seen[]>();
  readonly #forgotten = new Set<string>();
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #version: string;
  events = 0;
  resumed = 0;
  failure: unknown;

  constructor(client: KubeClient, namespace: string, resourceVersion: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#version = resourceVersion;
    this.#done = this.#run().catch((error: unknown) => {
      this.failure ??= error;
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const events = this.#client.watch(core.configmaps, {
          namespace: this.#namespace,
          resourceVersion: this.#version,
          allowWatchBookmarks: true,
          signal,
        });
        for await (const { type, object } of events) {
          if (type !== 'BOOKMARK' && isOfLedger(object)) this.#record(verbs[type], object);
          this.#version = object.metadata.resourceVersion ?? '';
        }
      } catch (error) {
        if (signal.aborted) return;
        // Nothing is compacted here: a version that is refused is a version that was lost.
        if (error instanceof assert.AssertionError || (error instanceof StatusError && error.code < 500))
          throw error;
      }
      this.resumed += 1;
      await sleep(retryMs);
    }
  }

  #record(verb: Verb, object: ConfigMap): void {
    const name = object.metadata.name ?? '';
    const revision = Number(object.metadata.resourceVersion);
    assert.ok(
      revision > Number(this.#version),
      `the watch goes from ${this.#version} to ${revision} (${name})`,
    );
    assert.ok(!this.#forgotten.has(name), `${verb} of ${name}, which was deleted long ago`);
    const seen = this.#seen.get(name) ?? [];
    seen.push({ verb, seq: seqOf(object) });
    this.#seen.set(name, seen);
    this.events += 1;
  }

  /** Throws unless exactly what happened was seen, in order. */
  verify(ledger: Ledger): void {
    if (this.failure !== undefined) throw this.failure;
    const left = new Set(this.#seen.keys());
    for (const [name, changes] of ledger.histories()) {
      left.delete(name);
      const expected = changes.map(({ verb, seq }, i): Seen => {
        return { verb, seq: verb === 'delete' ? (changes[i - 1]?.seq ?? 0) : seq };
      });
      assert.deepEqual(this.#seen.get(name) ?? [], expected, `the watch's events of ${name}`);
    }
    assert.deepEqual([...left], [], 'events of objects that nobody made');
  }

  forget(names: readonly string[]): void {
    for (const name of names) {
      this.#seen.delete(name);
      this.#forgotten.add(name);
    }
  }
}
