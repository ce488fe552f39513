import type { Standing } from './election.ts';
import { digestOf, type HeartbeatFrame, nameHash, noAddresses } from './heartbeat-codec.ts';
import type { Member } from './layer2.ts';

/** Heartbeats in a row that a silent member needs to be live again. */
export const rowAfterSilence = 3;

const nothing: ReadonlySet<string> = new Set();
/** Sequences remembered: what a peer may echo to prove that its frame is of now. */
const recentSends = 16;

/** What became of a frame. */
export type Taken = 'fresh' | 'old' | 'unproven';

/** One other speaker, as its heartbeats and gossip show it. Pure: told the time, sends nothing. */
export class HeartbeatPeer {
  readonly name: string;
  readonly hash: bigint;
  member: Member;
  /** Gossip lists it now. */
  listed = true;
  /** Shares candidacy of an address with this node, or once did; by its own word; heartbeats are due then. */
  shares = false;
  #theyShare = false;
  /** Until then an unheard member may still be about to send its first heartbeat; undefined: it counts by gossip. */
  graceUntilMs: number | undefined;
  /** When a frame of it was last taken; −Infinity: never. */
  heardMs = -Infinity;
  /** When it left gossip's list. */
  unlistedMs = Infinity;
  /** It said that it goes. */
  left = false;
  timeoutMs: number;
  intervalMs: number;
  seesMe: HeartbeatFrame['seesYou'] = 'unheard';
  /** The last frame taken: what is echoed. */
  epoch: bigint | undefined;
  sequence = 0;
  /** The last of this node's frames that the peer proved to have heard, in this node's present epoch. */
  heardMine = 0;
  /** The digest of this node's addresses that the peer knows. */
  knows = noAddresses;
  silentOnes: ReadonlySet<bigint> = new Set();
  repliedMs = -Infinity;
  /** Next part of a long list to send. */
  nextPart = 0;

  #state: HeartbeatFrame['state'] | undefined;
  #standing: Standing | 'unheard' = 'unheard';
  /** Live heartbeats in a row that it needs, and how many of them are still to come. */
  #needed = 1;
  #owed = 1;
  #countedMs = -Infinity;
  #joiningSinceMs = -Infinity;
  #answers = nothing;
  #digest = noAddresses;
  #gathering: { digest: bigint; parts: Map<number, readonly string[]> } | undefined;
  #sent: number[] = [];

  constructor(member: Member, graceUntilMs: number, timing: { intervalMs: number; timeoutMs: number }) {
    this.name = member.name;
    this.hash = nameHash(member.name);
    this.member = member;
    this.graceUntilMs = graceUntilMs;
    this.intervalMs = timing.intervalMs;
    this.timeoutMs = timing.timeoutMs;
  }

  /** As its heartbeats show it; `unheard`: none yet. */
  get standing(): Standing | 'unheard' {
    return this.#standing;
  }

  /** Heartbeats are due both ways, so their absence says something. */
  get paired(): boolean {
    return this.shares || this.#theyShare;
  }

  /** Shares candidacy from now on. Never taken back: those who do not know yet would take it for silence. */
  share(nowMs: number): void {
    if (!this.paired) this.excuse(nowMs);
    this.shares = true;
  }

  get heard(): boolean {
    return this.epoch !== undefined;
  }

  /** The digest of the peer's addresses that is known here. */
  get known(): bigint {
    return this.#digest;
  }

  /** All that it told is known. */
  get listComplete(): boolean {
    return this.#gathering === undefined;
  }

  /** The addresses that it answers for now, by its own word; none once it is silent. */
  get claims(): ReadonlySet<string> {
    if (this.#state === 'live' || (this.#state === 'checking' && this.#standing === 'live'))
      return this.#answers;
    return nothing;
  }

  /** A frame went to it. */
  sent(sequence: number): void {
    this.#sent.push(sequence);
    if (this.#sent.length > recentSends) this.#sent.shift();
  }

  /** This node drew a new epoch: what was sent before proves nothing any more. */
  restarted(): void {
    this.#sent = [];
    this.heardMine = 0;
  }

  /** Judges a frame of this peer that was sealed with the right key; `myEpoch` is this node's. */
  take(frame: HeartbeatFrame, nowMs: number, myEpoch: bigint): Taken {
    const echoesMe = frame.echo.epoch === myEpoch;
    if (frame.epoch === this.epoch) {
      if (frame.sequence <= this.sequence) return 'old';
    } else {
      // Another start of the peer, or an old one that somebody plays again: it must know what was sent just now.
      const earliest = this.#sent[0] ?? Infinity;
      if (!echoesMe || frame.echo.sequence < earliest) return 'unproven';
      this.#newEpoch(frame.epoch);
    }
    this.sequence = frame.sequence;
    this.intervalMs = frame.intervalMs;
    this.timeoutMs = Math.min(frame.intervalMs * frame.multiplier, 60_000);
    this.seesMe = frame.seesYou;
    this.knows = frame.knows;
    this.#theyShare ||= frame.shares;
    this.silentOnes = new Set(frame.silent);
    if (echoesMe) this.heardMine = Math.max(this.heardMine, frame.echo.sequence);
    this.#gather(frame);
    this.#judge(frame, nowMs);
    this.heardMs = nowMs;
    return 'fresh';
  }

  /** Its last frame answers one of this node's last `count`: it heard this node just now. */
  echoesRecent(count: number): boolean {
    return this.#sent.length > 0 && this.heardMine >= (this.#sent.at(-count) ?? this.#sent[0] ?? Infinity);
  }

  /** Declares it silent when it is, or of another make when it never spoke; true when that is news. */
  expire(nowMs: number): boolean {
    if (this.#standing === 'unheard') {
      const over = this.graceUntilMs !== undefined && nowMs >= this.graceUntilMs;
      if (over) this.graceUntilMs = undefined;
      return over;
    }
    if (!this.paired || nowMs < this.heardMs + this.timeoutMs) return false;
    const news = this.#standing !== 'silent' || this.claims.size > 0;
    this.#silence();
    return news;
  }

  /** A join takes no longer than this; −Infinity: it is not joining. */
  get joinsUntilMs(): number {
    if (this.#standing === 'unheard') return this.graceUntilMs ?? -Infinity;
    // One that was silent takes a row of heartbeats longer.
    const soon = this.#standing === 'joining' && this.#needed === 1;
    return soon ? this.#joiningSinceMs + this.timeoutMs : -Infinity;
  }

  /** When {@link expire} has something to say; Infinity: it is silent already. */
  get expiresMs(): number {
    if (this.#standing === 'unheard') return this.graceUntilMs ?? Infinity;
    const over = this.#standing === 'silent' && this.#state === undefined;
    return over || !this.paired ? Infinity : this.heardMs + this.timeoutMs;
  }

  /** This node did not listen for a while: what it missed says nothing about the peer. */
  excuse(nowMs: number): void {
    if (this.#standing !== 'unheard' && this.#state !== undefined) this.heardMs = nowMs;
  }

  #newEpoch(epoch: bigint): void {
    this.epoch = epoch;
    this.left = false;
    this.#answers = nothing;
    this.#digest = noAddresses;
    this.#gathering = undefined;
  }

  #silence(): void {
    this.#standing = 'silent';
    this.#needed = rowAfterSilence;
    this.#owed = rowAfterSilence;
    this.#state = undefined;
  }

  #judge(frame: HeartbeatFrame, nowMs: number): void {
    this.#state = frame.state;
    if (frame.state === 'leaving') {
      this.left = true;
      this.#silence();
    } else if (frame.state === 'joining') {
      this.#owed = this.#needed;
      if (this.#standing !== 'joining') this.#joiningSinceMs = nowMs;
      this.#standing = 'joining';
    } else if (frame.state === 'checking') {
      if (this.#standing === 'unheard') this.#standing = 'joining';
    } else if (this.#standing !== 'live') {
      // Answers to questions come faster than heartbeats and do not count as such.
      if (nowMs - this.#countedMs < frame.intervalMs / 2) return;
      this.#countedMs = nowMs;
      this.#owed -= 1;
      if (this.#owed <= 0) {
        this.#standing = 'live';
        this.#needed = 1;
      } else if (this.#standing === 'unheard') this.#standing = 'joining';
    }
  }

  #gather(frame: HeartbeatFrame): void {
    if (frame.digest === this.#digest) {
      this.#gathering = undefined;
      return;
    }
    if (frame.digest === noAddresses) {
      this.#answers = nothing;
      this.#digest = noAddresses;
      this.#gathering = undefined;
      return;
    }
    if (this.#gathering?.digest !== frame.digest)
      this.#gathering = { digest: frame.digest, parts: new Map() };
    if (!frame.answers) return;
    const { parts } = this.#gathering;
    parts.set(frame.answers.part, frame.answers.addresses);
    if (parts.size !== frame.answers.parts) return;
    const all = [...parts.values()].flat();
    // Parts of two lists cannot mix: the digest tells.
    if (digestOf(all) === frame.digest) {
      this.#answers = new Set(all);
      this.#digest = frame.digest;
      this.#gathering = undefined;
    } else parts.clear();
  }
}
