import type { Standing } from './election.ts';
import { digestOf, HeartbeatCodec, type HeartbeatFrame, noAddresses, partsOf } from './heartbeat-codec.ts';
import { type HeartbeatCounts, noCounts, type RejoinReason } from './heartbeat-counts.ts';
import { HeartbeatPeer } from './heartbeat-peer.ts';
import type { Member } from './layer2.ts';

export interface HeartbeatTiming {
  readonly intervalMs: number;
  /** So many intervals without a heartbeat are silence. */
  readonly multiplier: number;
}

export const defaultTiming: HeartbeatTiming = { intervalMs: 100, multiplier: 3 };

export interface HeartbeatOptions {
  readonly nodeName: string;
  readonly timing?: HeartbeatTiming;
  /** Members' common secret; undefined: frames are plain. */
  readonly gossipKey?: Uint8Array | undefined;
  /** 64 random bits. */
  drawEpoch(): bigint;
  send(to: Member, datagram: Uint8Array): void;
  /** How long nothing was heard on the wire that heartbeats take; Infinity when that is not known. */
  quietMs(nowMs: number): number;
  /** Standings, claims or this node's own state changed. */
  changed(): void;
}

/** What this node is: it answers for addresses only while `live`. */
export type OwnState = HeartbeatFrame['state'];

const partsPerBeat = 8;
/** Between two answers to the same peer. */
const replyPauseMs = 20;
/** A member that gossip gave up is looked for so long: a partition may last a night. */
const forgetMs = 24 * 3600_000;

/**
 * The heartbeats of one node: who of the others is live, what they answer for, and whether this node may answer. A pure
 * state machine: time (milliseconds of a clock that is never set and goes on in suspension) and datagrams in,
 * datagrams out; the owner calls {@link tick} when {@link nextMs} has come.
 *
 * The node answers only while it is `live`. It is `joining` from its start and after it was missed, until it has
 * exchanged heartbeats with all who answer; it is `checking`, a round trip long, when it was late or cut off and does not
 * know whether it was missed. Without anybody's answer either ends with the quarantine, of as many intervals as make
 * silence: a node whose others are dead serves.
 */
export class Heartbeats {
  readonly #options: HeartbeatOptions;
  readonly #codec: HeartbeatCodec;
  readonly #peers = new Map<string, HeartbeatPeer>();
  readonly timing: HeartbeatTiming;
  readonly counts: HeartbeatCounts = noCounts();
  #epoch: bigint;
  #sequence = 0;
  #state: OwnState = 'joining';
  #begun = false;
  /** Frames from here on were sent since the node began to join or to check. */
  #firstOfJoin = 1;
  #quarantineEndsMs = Infinity;
  /** When a quarantine last ended without an answer. */
  #askedMs = -Infinity;
  #planned = false;
  /** Nothing but plans is missing for the end of the join. */
  #admitted = false;
  #lastBeatMs = -Infinity;
  #nextBeatMs = Infinity;
  #beats = 0;
  #answers: string[][] = [];
  #digest = digestOf([]);

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.timing = options.timing ?? defaultTiming;
    this.#codec = new HeartbeatCodec(options.gossipKey);
    this.#epoch = options.drawEpoch();
  }

  get state(): OwnState {
    return this.#state;
  }

  /** All others that are known, those that gossip gave up included. */
  peers(): Iterable<HeartbeatPeer> {
    return this.#peers.values();
  }

  peer(name: string): HeartbeatPeer | undefined {
    return this.#peers.get(name);
  }

  /** Silence of this node begins for others so long after its last heartbeat. */
  get #timeoutMs(): number {
    return this.timing.intervalMs * this.timing.multiplier;
  }

  /**
   * Whom gossip believes alive, this node included or not, and with whom it shares candidacy of an address. The first
   * call begins the join. `planned`: this node knows of addresses; until it does, it joins and is not live, so that nobody
   * elects one that was not told yet what to answer for.
   */
  setMembers(
    members: readonly Member[],
    shares: (name: string) => boolean,
    planned: boolean,
    nowMs: number,
  ): void {
    this.#planned = planned;
    const listed = new Map(members.map((member) => [member.name, member]));
    listed.delete(this.#options.nodeName);
    for (const member of listed.values()) this.#list(member, shares(member.name), nowMs);
    for (const peer of this.#peers.values()) if (!listed.has(peer.name)) this.#unlist(peer, nowMs);
    if (this.#admitted && planned) this.#becomeLive(nowMs);
    if (this.#begun || members.length === 0) return;
    this.#begun = true;
    this.#rejoin('joining', 'started', nowMs);
  }

  #list(member: Member, shares: boolean, nowMs: number): void {
    let peer = this.#peers.get(member.name);
    if (!peer) {
      const { intervalMs } = this.timing;
      peer = new HeartbeatPeer(member, nowMs + this.#timeoutMs, { intervalMs, timeoutMs: this.#timeoutMs });
      this.#peers.set(member.name, peer);
      if (this.#begun) this.#send(peer, { asks: true });
    }
    if (!peer.listed && !peer.heard) peer.graceUntilMs = nowMs + this.#timeoutMs;
    peer.member = member;
    peer.listed = true;
    peer.unlistedMs = Infinity;
    if (shares) peer.share(nowMs);
  }

  #unlist(peer: HeartbeatPeer, nowMs: number): void {
    peer.listed = false;
    peer.unlistedMs = Math.min(peer.unlistedMs, nowMs);
    const lost = nowMs - Math.max(peer.unlistedMs, peer.heardMs) > forgetMs;
    if (!peer.heard || peer.left || lost) this.#peers.delete(peer.name);
  }

  /**
   * A node as the election sees it. Heartbeats that come decide, gossip or not: it may be late either way. A member
   * that never sent any is one of another make and counts by gossip alone, or not at all when gossip does not know it;
   * undefined: no member.
   */
  standing(name: string): Standing | undefined {
    if (name === this.#options.nodeName) return this.#state === 'live' ? 'live' : 'joining';
    const peer = this.#peers.get(name);
    if (!peer) return undefined;
    if (peer.standing === 'unheard') {
      if (!peer.listed) return undefined;
      if (this.#saidSilent(peer)) return 'silent';
      if (peer.graceUntilMs !== undefined) return 'joining';
      return peer.member.unconfirmed ? 'silent' : 'live';
    }
    return peer.standing === 'silent' && !peer.listed ? undefined : peer.standing;
  }

  /** Another live speaker has heard it before and hears it no more. */
  #saidSilent(peer: HeartbeatPeer): boolean {
    for (const other of this.#peers.values())
      if (other.standing === 'live' && other.silentOnes.has(peer.hash)) return true;
    return false;
  }

  /** Whether this node may answer at this very moment: it is live and nobody can have missed it. */
  mayAnswer(nowMs: number): boolean {
    return this.#state === 'live' && nowMs - this.#lastBeatMs < this.#lateMs;
  }

  /**
   * Whether an announcement that was put off is still to be sent. One that hears nothing at all any more may have been cut
   * off, and would give others' addresses a wrong home in the moment in which it is connected again.
   */
  mayAnnounce(nowMs: number): boolean {
    if (!this.mayAnswer(nowMs)) return false;
    const quietMs = this.#options.quietMs(nowMs);
    return quietMs < 2 * this.#timeoutMs || !this.#cutOff(quietMs, nowMs);
  }

  /** A node that did not send for so long may have been missed: less than the timeout by what a frame may take. */
  get #lateMs(): number {
    return this.#timeoutMs - this.timing.intervalMs / 2;
  }

  /** What this node answers for; the others hear of a change at once. */
  setAnswers(addresses: Iterable<string>, nowMs: number): void {
    const parts = partsOf([...addresses].sort());
    const digest = digestOf(parts.flat());
    if (digest === this.#digest) return;
    this.#answers = parts;
    this.#digest = digest;
    for (const peer of this.#peers.values()) peer.nextPart = 0;
    if (this.#begun && this.#state !== 'leaving') this.#beat(nowMs);
  }

  /** When {@link tick} is due. */
  get nextMs(): number {
    let next = Math.min(this.#nextBeatMs, this.#quarantineEndsMs);
    for (const peer of this.#peers.values()) {
      next = Math.min(next, peer.expiresMs);
    }
    return next;
  }

  tick(nowMs: number): void {
    if (!this.#begun || this.#state === 'leaving') return;
    if (nowMs - this.#lastBeatMs >= this.#lateMs) this.stalled(nowMs - this.#lastBeatMs, nowMs);
    let news = false;
    for (const peer of this.#peers.values())
      if (peer.expire(nowMs)) {
        news = true;
        if (peer.heard) this.counts.silences += 1;
      }
    if (nowMs >= this.#nextBeatMs) this.#beat(nowMs);
    if (nowMs >= this.#quarantineEndsMs) {
      this.#askedMs = nowMs;
      this.#becomeLive(nowMs);
    }
    if (news) this.#options.changed();
  }

  /** This node did not run for `gapMs`. Call it before anything that waits is answered; it may also notice by itself. */
  stalled(gapMs: number, nowMs: number): void {
    if (!this.#begun || this.#state === 'leaving') return;
    for (const peer of this.#peers.values()) peer.excuse(nowMs);
    const missed = this.#state === 'joining' || gapMs >= 2 * this.#timeoutMs;
    // A machine that was stored and continued, perhaps twice, must not use a nonce again.
    if (missed) this.#drawEpoch();
    this.#rejoin(missed ? 'joining' : 'checking', 'late', nowMs);
  }

  /**
   * A frame of whatever kind was heard on an interface where all had been quiet for `quietMs`. Call it before the
   * frame is answered: when the other speakers had become quiet too, the cable or port may have been cut, and is mended.
   */
  heardWire(quietMs: number, nowMs: number): void {
    if (this.#state === 'live' && this.#cutOff(quietMs, nowMs)) this.#rejoin('checking', 'cut-off', nowMs);
  }

  /** Others may answer for this node's addresses as soon as it has not heard them for so long. */
  #cutOff(quietMs: number, nowMs: number): boolean {
    const limitMs = this.#timeoutMs - this.timing.intervalMs;
    if (quietMs < limitMs) return false;
    let heardOnce = false;
    for (const peer of this.#peers.values()) {
      if (!peer.heard || peer.left || !peer.paired) continue;
      if (nowMs - peer.heardMs < limitMs) return false;
      heardOnce = true;
    }
    return heardOnce;
  }

  /** A datagram that came; any bytes will do. */
  datagram(bytes: Uint8Array, nowMs: number): void {
    if (!this.#begun || this.#state === 'leaving') return;
    if (nowMs - this.#lastBeatMs >= this.#lateMs) this.stalled(nowMs - this.#lastBeatMs, nowMs);
    const { refused } = this.counts;
    const frame = this.#codec.decode(bytes);
    if (typeof frame === 'string') return void (refused[frame] += 1);
    if (frame.to !== this.#options.nodeName) return void (refused['other-receiver'] += 1);
    const peer = this.#peers.get(frame.from);
    if (!peer) return void (refused['unknown-sender'] += 1);
    const wasCutOff = this.#state === 'live' && this.#cutOff(this.#options.quietMs(nowMs), nowMs);
    const before = { standing: peer.standing, claims: peer.claims };
    const taken = peer.take(frame, nowMs, this.#epoch);
    if (taken !== 'fresh') refused[taken] += 1;
    if (taken === 'unproven') this.#reply(peer, nowMs, { epoch: frame.epoch, sequence: frame.sequence });
    if (taken !== 'fresh') return;
    this.counts.taken += 1;
    // Nothing was missed if the peer has heard this node all the time.
    const heardAll = peer.seesMe === 'live' && peer.echoesRecent(3);
    if (wasCutOff && !heardAll) this.#rejoin('checking', 'cut-off', nowMs);
    const moved = this.#judgeOwnState(peer, nowMs);
    if (frame.asks) this.#reply(peer, nowMs);
    if (!moved && (before.standing !== peer.standing || before.claims !== peer.claims))
      this.#options.changed();
  }

  /** What a frame of `peer`, just taken, says about this node's own state; true when that changed. */
  #judgeOwnState(peer: HeartbeatPeer, nowMs: number): boolean {
    const heardThis = peer.heardMine >= this.#firstOfJoin;
    if (this.#state === 'checking' && heardThis) {
      if (peer.seesMe === 'live') return this.#becomeLive(nowMs);
      if (peer.seesMe === 'silent') this.#rejoin('joining', 'missed', nowMs);
      return peer.seesMe === 'silent';
    }
    if (this.#state !== 'joining' || this.#admitted || !heardThis) return false;
    for (const other of this.#peers.values()) if (this.#awaited(other)) return false;
    return this.#becomeLive(nowMs);
  }

  /** Whether a joining node waits for `peer`: it may answer yet, and has not. */
  #awaited(peer: HeartbeatPeer): boolean {
    if (peer.heardMine >= this.#firstOfJoin && peer.listComplete) return false;
    return !peer.left && !this.#saidSilent(peer);
  }

  #rejoin(state: 'joining' | 'checking', reason: RejoinReason, nowMs: number): void {
    this.#state = state;
    this.#admitted = false;
    this.counts.rejoins[reason] += 1;
    this.#firstOfJoin = this.#sequence + 1;
    // Where everybody was asked just now and nobody is there, one more question is enough: a peer answers it at once.
    const { intervalMs } = this.timing;
    const asksAgain = reason === 'cut-off' && nowMs < this.#askedMs + this.#timeoutMs;
    this.#quarantineEndsMs = nowMs + (asksAgain ? intervalMs : this.#timeoutMs);
    this.#options.changed();
    this.#beat(nowMs);
  }

  #becomeLive(nowMs: number): boolean {
    this.#quarantineEndsMs = Infinity;
    this.#admitted = this.#state === 'joining' && !this.#planned;
    if (this.#admitted) return false;
    this.#state = 'live';
    this.#beat(nowMs);
    this.#options.changed();
    return true;
  }

  /** Says goodbye: the others take over at once instead of after a silence. */
  leave(nowMs: number): void {
    if (!this.#begun || this.#state === 'leaving') return;
    this.#state = 'leaving';
    this.#nextBeatMs = Infinity;
    this.#quarantineEndsMs = Infinity;
    // Twice, for one that is lost.
    for (let i = 0; i < 2; i++) for (const peer of this.#peers.values()) this.#send(peer, { asks: false });
    this.#lastBeatMs = nowMs;
  }

  #drawEpoch(): void {
    this.#epoch = this.#options.drawEpoch();
    this.#sequence = 0;
    for (const peer of this.#peers.values()) peer.restarted();
  }

  #beat(nowMs: number): void {
    this.#lastBeatMs = nowMs;
    // On schedule, unless it was missed: then from now.
    const due = this.#nextBeatMs <= nowMs ? this.#nextBeatMs + this.timing.intervalMs : this.#nextBeatMs;
    const sensible = due > nowMs && due <= nowMs + this.timing.intervalMs;
    this.#nextBeatMs = sensible ? due : nowMs + this.timing.intervalMs;
    this.#beats += 1;
    for (const peer of this.#peers.values()) if (this.#dueFor(peer)) this.#send(peer, { asks: this.#asks });
  }

  get #asks(): boolean {
    return (this.#state === 'joining' && !this.#admitted) || this.#state === 'checking';
  }

  /** Those that may never answer, or not for long, are asked less often. */
  #dueFor(peer: HeartbeatPeer): boolean {
    if (this.#asks) return true;
    if (peer.left) return false;
    if (!peer.paired) return false;
    const never = peer.standing === 'unheard' && peer.graceUntilMs === undefined;
    const quiet = never || (peer.standing === 'silent' && !peer.listed);
    return !quiet || this.#beats % this.timing.multiplier === 0;
  }

  #reply(peer: HeartbeatPeer, nowMs: number, unproven?: HeartbeatFrame['echo']): void {
    if (nowMs - peer.repliedMs < replyPauseMs) return;
    peer.repliedMs = nowMs;
    this.#send(peer, { asks: unproven !== undefined, ...(unproven && { echo: unproven }) });
  }

  #send(peer: HeartbeatPeer, options: { asks: boolean; echo?: HeartbeatFrame['echo'] }): void {
    const parts = peer.knows === this.#digest ? 0 : this.#answers.length;
    for (let i = 0; i < Math.max(1, Math.min(parts, partsPerBeat)); i++) {
      const part = parts === 0 ? undefined : peer.nextPart++ % parts;
      this.#sequence += 1;
      peer.sent(this.#sequence);
      this.counts.sent += 1;
      const frame = this.#frame(peer, options, part);
      this.#options.send(peer.member, this.#codec.encode(frame));
    }
  }

  #frame(
    peer: HeartbeatPeer,
    options: { asks: boolean; echo?: HeartbeatFrame['echo'] },
    part: number | undefined,
  ): HeartbeatFrame {
    return {
      epoch: this.#epoch,
      sequence: this.#sequence,
      from: this.#options.nodeName,
      to: peer.name,
      state: this.#toldState(),
      asks: options.asks,
      shares: peer.shares,
      seesYou: peer.standing,
      echo: options.echo ?? { epoch: peer.epoch ?? 0n, sequence: peer.sequence },
      intervalMs: this.timing.intervalMs,
      multiplier: this.timing.multiplier,
      digest: this.#digest,
      // Another start of the peer: what is known of the one before will be forgotten.
      knows: options.echo ? noAddresses : peer.known,
      silent: this.#silentOnes(),
      ...(part !== undefined && {
        answers: { part, parts: this.#answers.length, addresses: this.#answers[part] as string[] },
      }),
    };
  }

  /** Who may have been cut off claims nothing that others have taken over meanwhile. */
  #toldState(): OwnState {
    if (this.#state !== 'live') return this.#state;
    return this.#cutOff(this.#options.quietMs(this.#lastBeatMs), this.#lastBeatMs) ? 'checking' : 'live';
  }

  #silentOnes(): bigint[] {
    const hashes: bigint[] = [];
    for (const peer of this.#peers.values())
      if (peer.paired && peer.standing === 'silent' && !peer.left) hashes.push(peer.hash);
    return hashes;
  }
}
