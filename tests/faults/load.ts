import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError } from '@cloudless/kube/client/https';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { configMapOf, type Ledger, nameOf, type Verb } from './ledger.ts';

export interface LoadOptions {
  client: KubeClient;
  namespace: string;
  ledger: Ledger;
  /** Requests under way at once. */
  writers: number;
  /** 0 ≤ x < 1. */
  random: () => number;
}

const retryMs = 10;
/** Objects one writer keeps before it rather deletes than creates. */
const keptPerWriter = 40;

/** Writers that create, update and delete ConfigMaps as fast as they are answered, and note it in a ledger. */
export class Load {
  readonly #options: LoadOptions;
  readonly #live: string[][];
  readonly #workers: Promise<void>[];
  #made = 0;
  /** Changes that may still begin. */
  #left = 0;
  #wake = Promise.withResolvers<void>();
  #underWay = 0;
  #idle = Promise.withResolvers<void>();
  #answering: Promise<void> | undefined;
  #stopped = false;
  failure: unknown;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#live = Array.from({ length: options.writers }, () => []);
    this.#idle.resolve();
    this.#workers = this.#live.map((live) =>
      this.#work(live).catch((error: unknown) => {
        this.failure ??= error;
        this.#left = 0;
      }),
    );
  }

  /** Lets writers begin `changes` more; they start paused. */
  resume(changes = Infinity): void {
    this.#left = changes;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Begins nothing more and resolves when nothing is under way. Throws when an answer was wrong. */
  async pause(): Promise<void> {
    this.#left = 0;
    await this.#idle.promise;
    if (this.failure !== undefined) throw this.failure;
  }

  /** Resolves when the changes of `resume(changes)` have all been begun and answered (or their answers lost). */
  async finished(): Promise<void> {
    while (this.#left > 0 && this.failure === undefined) await sleep(5);
    await this.pause();
  }

  /** Gives back objects that were in doubt and are settled to exist. */
  giveBack(names: readonly string[]): void {
    names.forEach((name, i) => this.#live[i % this.#live.length]?.push(name));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.resume(0);
    await Promise.all(this.#workers);
  }

  async #work(live: string[]): Promise<void> {
    while (!this.#stopped) {
      if (this.#left <= 0) {
        await this.#wake.promise;
        continue;
      }
      this.#left -= 1;
      if (this.#underWay++ === 0) this.#idle = Promise.withResolvers();
      try {
        if (!(await this.#change(live))) await this.#answers();
      } finally {
        if (--this.#underWay === 0) this.#idle.resolve();
      }
    }
  }

  /** One change; false when its answer was lost. */
  async #change(live: string[]): Promise<boolean> {
    const { ledger, random } = this.#options;
    const draw = random();
    const mayCreate = live.length < keptPerWriter;
    const verb: Verb =
      live.length < 3 || (mayCreate && draw < 0.4) ? 'create' : draw < 0.75 ? 'update' : 'delete';
    const name =
      verb === 'create'
        ? nameOf(this.#made++)
        : (live.splice(Math.floor(random() * live.length), 1)[0] as string);
    const isConditional = random() < 0.5;
    const seq = ledger.begin(name, verb);
    try {
      ledger.acknowledge(name, await this.#send(name, verb, seq, isConditional));
    } catch (error) {
      if (isLost(error)) return false;
      throw error;
    }
    if (verb !== 'delete') live.push(name);
    return true;
  }

  async #send(name: string, verb: Verb, seq: number, isConditional: boolean): Promise<number | undefined> {
    const { client, namespace, ledger } = this.#options;
    if (verb === 'delete') {
      await client.delete(core.configmaps, name, { namespace });
      return undefined;
    }
    const object = configMapOf(namespace, name, seq);
    const last = ledger.revisionOf(name);
    if (verb === 'update' && isConditional && last !== undefined)
      object.metadata.resourceVersion = String(last);
    const answer = await client[verb](core.configmaps, object);
    return Number(answer.metadata.resourceVersion);
  }

  /** Resolves when the server answers again; all writers wait by one. */
  #answers(): Promise<void> {
    return (this.#answering ??= this.#probe().finally(() => (this.#answering = undefined)));
  }

  async #probe(): Promise<void> {
    // A paused load is waited for by whoever brings the server back.
    while (!this.#stopped && this.#left > 0) {
      try {
        await this.#options.client.raw('GET', '/livez');
        return;
      } catch {
        await sleep(retryMs);
      }
    }
  }
}

/** The answer says nothing of whether the change happened. */
function isLost(error: unknown): boolean {
  if (error instanceof StatusError) return error.code >= 500 || error.code === 429;
  return error instanceof ConnectionError;
}
