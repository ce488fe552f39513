import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { AnnouncementTable } from '../announcement.ts';
import type { Layer2, Ownership } from '../layer2/layer2.ts';
import type { Membership } from './membership.ts';

export interface Layer2AnnouncerOptions {
  table: AnnouncementTable;
  membership: Membership;
  /** Called when there is something to announce for the first time. */
  start(): Promise<Layer2>;
  /** A changed ownership, beside the one before. */
  onOwnership(now: Ownership, before: Ownership | undefined): void;
  log: Logger;
}

/** Hands the table and the members to the layer-2 thread, which is started with the first address. */
export class Layer2Announcer implements Running {
  readonly #options: Layer2AnnouncerOptions;
  readonly #last = new Map<string, Ownership>();
  readonly #unsubscribe: Array<() => void> = [];
  #unhear: () => void = () => undefined;
  readonly #running: Running;
  #starting: Promise<Layer2> | undefined;
  #layer2: Layer2 | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #stopped = false;

  constructor(options: Layer2AnnouncerOptions) {
    this.#options = options;
    const { table, membership, log } = options;
    this.#unsubscribe.push(
      table.subscribe((address, plan) => {
        if (!plan) this.#last.delete(address);
        this.#schedule();
      }),
      membership.subscribe((members) => {
        this.#layer2?.setMembers(members);
        // Others take a speaker that sends no heartbeats for one of another make, and would elect it before it has plans.
        if (members.length > 1 && !this.#starting) this.#schedule();
      }),
    );
    this.#running = running(async () => {
      this.#stopped = true;
      clearImmediate(this.#immediate);
      for (const unsubscribe of this.#unsubscribe) unsubscribe();
      this.#unhear();
      const layer2 = await this.#starting?.catch((error: unknown) => {
        log.debug({ err: error }, 'layer 2 had not started');
        return undefined;
      });
      await layer2?.stop();
    });
    if (!table.plans()[Symbol.iterator]().next().done) this.#schedule();
  }

  /** Starts layer 2 anew, if it has started: with what `start` gives it now. */
  async restart(): Promise<void> {
    const before = this.#starting;
    if (!before || this.#stopped) return;
    const next = before.then((layer2) => layer2.stop()).then(() => this.#start());
    this.#starting = next;
    next.catch(() => undefined);
    await this.#tell();
  }

  /** By address, as last heard. */
  ownership(address: string): Ownership | undefined {
    return this.#last.get(address);
  }

  ownerships(): readonly Ownership[] {
    return this.#layer2?.ownerships() ?? [];
  }

  metrics(): string {
    return this.#layer2?.metrics() ?? '';
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  /** Thousands of Services that appear at once are told once. */
  #schedule(): void {
    if (!this.#stopped) this.#immediate ??= setImmediate(() => void this.#tell());
  }

  async #tell(): Promise<void> {
    this.#immediate = undefined;
    const { table, log } = this.#options;
    try {
      const layer2 = await (this.#starting ??= this.#start());
      if (!this.#stopped) layer2.setPlans([...table.plans()]);
    } catch (error) {
      // Told by the part that starts; the process cannot announce without it.
      log.error({ err: error }, 'layer 2 cannot be announced on');
    }
  }

  async #start(): Promise<Layer2> {
    const { membership, table } = this.#options;
    const layer2 = await this.#options.start();
    this.#layer2 = layer2;
    this.#unhear();
    this.#unhear = layer2.subscribe((now) => {
      // One that was on its way when the address was withdrawn.
      if (!table.get(now.address)) return;
      const before = this.#last.get(now.address);
      this.#last.set(now.address, now);
      this.#options.onOwnership(now, before);
    });
    layer2.setMembers(membership.members());
    return layer2;
  }
}
