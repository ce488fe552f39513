import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Gossip } from '../gossip/gossip.ts';
import type { Member } from '../layer2/layer2.ts';

/** Members that went for a few seconds come back; upstream: speakerlist.joinMembers. */
const rejoinMs = 60_000;

/**
 * Every speaker that may be alive, this one included: those that gossip believes in, and those that a list names. Without
 * gossip the list is all there is, and heartbeats find who is silent.
 */
export class Membership implements Running {
  readonly #own: Member;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<(members: readonly Member[]) => void>();
  readonly #running: Running;
  #listed: readonly Member[] = [];
  #gossip: Gossip | undefined;
  #addresses: readonly string[] = [];
  #told = '';
  #timer: ClockTimer | undefined;
  #joining: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: { own: Member; clock: Clock; log: Logger }) {
    this.#own = options.own;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#running = running(async () => {
      this.#stopped = true;
      this.#timer?.cancel();
      const gossip = this.#gossip;
      if (!gossip) return;
      await gossip.leave().catch((error: unknown) => this.#log.debug({ err: error }, 'leaving gossip'));
      await gossip.stop();
      await this.#joining;
    });
    this.#told = JSON.stringify(this.members());
  }

  members(): readonly Member[] {
    const members = new Map<string, Member>(
      this.#listed.map((member) => [member.name, { ...member, unconfirmed: true }]),
    );
    for (const { name, address, state } of this.#gossip?.members() ?? [])
      if (state === 'alive' || state === 'suspect') members.set(name, { name, address });
    members.set(this.#own.name, this.#own);
    return [...members.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Hears of each change. Returns the way to unsubscribe. */
  subscribe(listener: (members: readonly Member[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Members whatever gossip says. */
  list(members: readonly Member[]): void {
    this.#listed = members;
    this.#tell();
  }

  /** Takes over a gossip that was started, and joins it with the addresses known. Resolves after the first try. */
  async use(gossip: Gossip): Promise<void> {
    this.#gossip = gossip;
    gossip.subscribe(() => this.#tell());
    this.#tell();
    await this.#join();
  }

  /** Where other speakers would be; those that are no members are asked now and every minute. */
  setJoinAddresses(addresses: readonly string[]): void {
    const next = addresses.filter((address) => address !== this.#own.address).sort();
    if (next.join() === this.#addresses.join()) return;
    this.#addresses = next;
    if (this.#gossip) void this.#join();
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  #tell(): void {
    if (this.#stopped) return;
    const members = this.members();
    const text = JSON.stringify(members);
    if (text === this.#told) return;
    this.#told = text;
    this.#log.info({ members: members.map(({ name }) => name) }, 'speakers');
    for (const listener of this.#listeners) listener(members);
  }

  /** One try at a time; a call meanwhile is another try afterwards. */
  #join(): Promise<void> {
    const next = this.#joining.then(() => this.#tryJoin());
    this.#joining = next;
    return next;
  }

  async #tryJoin(): Promise<void> {
    const gossip = this.#gossip;
    if (!gossip || this.#stopped) return;
    this.#timer?.cancel();
    // One that is only listed has not joined.
    const alive = gossip.members().filter(({ state }) => state === 'alive' || state === 'suspect');
    const there = new Set(alive.map(({ address }) => address));
    const missing = this.#addresses.filter((address) => !there.has(address));
    if (missing.length > 0) {
      const answered = await gossip.join(missing).catch((error: unknown) => {
        this.#log.debug({ err: error }, 'joining other speakers');
        return 0;
      });
      this.#log.debug({ asked: missing.length, answered }, 'asked other speakers to join');
    }
    if (!this.#stopped) this.#timer = this.#clock.setTimeout(() => void this.#join(), rejoinMs);
  }
}
