/**
 * One session of BFD in asynchronous mode, without echo (RFC 5880 section 6.8). Pure: packets and the time go in,
 * packets come out; whose session it is and how packets travel is others' affair.
 */
import type { BfdState } from './bfd.ts';
import { type ControlPacket, diagnostic, encodeControl } from './packet.ts';

export interface BfdTiming {
  /** The shortest interval at which packets can be taken in. */
  readonly receiveIntervalMs: number;
  /** The interval at which packets would be sent. */
  readonly transmitIntervalMs: number;
  /** So many packets of ours may be lost before the peer gives the session up. */
  readonly detectMultiplier: number;
  /** Says nothing before the peer does. */
  readonly passive: boolean;
}

export interface MachineOptions {
  readonly timing: BfdTiming;
  /** Of this end: not 0, and no other session's of this node. */
  readonly discriminator: number;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
  readonly send: (packet: Uint8Array) => void;
  /** `AdminDown` when the peer says that it is: a client is not to take that for a lost path (RFC 5882 section 3.2). */
  readonly changed: (state: BfdState, diagnostic: number) => void;
}

/** Until a session is up, and after it was, packets are no more frequent than this (section 6.8.3). */
const slowMs = 1000;
/** What is said to be sent at most so often by a peer that has said nothing (section 6.8.1, bfd.RemoteMinRxInterval). */
const firstRemoteRxMs = 0.001;

export class BfdMachine {
  readonly #options: MachineOptions;
  #state: BfdState = 'Down';
  #diagnostic: number = diagnostic.none;
  /** What is known of the peer; discriminator 0: nothing. */
  #remote = {
    discriminator: 0,
    state: 'Down' as BfdState,
    demand: false,
    minRxMs: firstRemoteRxMs,
    minTxMs: slowMs,
    multiplier: 1,
  };
  /** New timers are told until the peer has confirmed them (section 6.5). */
  #polling = false;
  #lastReceivedMs: number | undefined;
  #lastSentMs: number;
  #nextSendMs: number;
  #intervalMs: number;

  constructor(options: MachineOptions, nowMs: number) {
    this.#options = options;
    this.#lastSentMs = nowMs;
    this.#nextSendMs = nowMs;
    this.#intervalMs = this.#desiredMs;
  }

  get state(): BfdState {
    return this.#state;
  }

  get diagnostic(): number {
    return this.#diagnostic;
  }

  /** When {@link tick} is wanted; Infinity: not. */
  get nextMs(): number {
    return Math.min(this.#detectionMs, this.#isSilent ? Infinity : this.#nextSendMs);
  }

  /** After so long without a packet the peer is given up (section 6.8.4). */
  get detectionTimeMs(): number {
    const { multiplier, minTxMs } = this.#remote;
    return multiplier * Math.max(this.#options.timing.receiveIntervalMs, minTxMs);
  }

  get #detectionMs(): number {
    return this.#lastReceivedMs === undefined ? Infinity : this.#lastReceivedMs + this.detectionTimeMs;
  }

  /** bfd.DesiredMinTxInterval */
  get #desiredMs(): number {
    const { transmitIntervalMs } = this.#options.timing;
    return this.#state === 'Up' ? transmitIntervalMs : Math.max(slowMs, transmitIntervalMs);
  }

  /** Whether no periodic packets are due (section 6.8.7). */
  get #isSilent(): boolean {
    const { discriminator, minRxMs, demand, state } = this.#remote;
    if (minRxMs === 0 || (this.#options.timing.passive && discriminator === 0)) return true;
    return demand && this.#state === 'Up' && state === 'Up' && !this.#polling;
  }

  /** A packet that was meant for this session (section 6.8.6, from "bfd.RemoteDiscr" on). */
  receive(packet: ControlPacket, nowMs: number): void {
    this.#lastReceivedMs = nowMs;
    this.#remote = {
      discriminator: packet.myDiscriminator,
      state: packet.state,
      demand: packet.demand,
      minRxMs: packet.requiredMinRxUs / 1000,
      minTxMs: packet.desiredMinTxUs / 1000,
      multiplier: packet.detectMultiplier,
    };
    if (packet.final) this.#polling = false;
    this.#reschedule();
    if (this.#state === 'AdminDown') return;
    const before = this.#state;
    this.#follow(packet.state);
    // What is new is told at once, and not when the next packet is due; an answer to a poll tells it, too.
    if (packet.poll) this.#send(nowMs, true);
    else if (this.#state !== before && !this.#isSilent) this.#send(nowMs, false);
  }

  /** The state machine proper (section 6.2). */
  #follow(remote: BfdState): void {
    if (remote === 'AdminDown') {
      if (this.#state !== 'Down') this.#become('Down', diagnostic.neighborDown);
    } else if (this.#state === 'Down') {
      if (remote === 'Down') this.#become('Init', this.#diagnostic);
      else if (remote === 'Init') this.#become('Up', diagnostic.none);
    } else if (this.#state === 'Init') {
      if (remote !== 'Down') this.#become('Up', diagnostic.none);
    } else if (remote === 'Down') this.#become('Down', diagnostic.neighborDown);
  }

  #become(state: BfdState, why: number): void {
    const desiredMs = this.#desiredMs;
    this.#state = state;
    this.#diagnostic = why;
    this.#polling = state === 'Up' && this.#desiredMs !== desiredMs;
    this.#reschedule();
    const byWill = state === 'Down' && this.#remote.state === 'AdminDown';
    this.#options.changed(byWill ? 'AdminDown' : state, why);
  }

  /** Does what is due: gives the peer up, or sends. Packets that wait are to be received before. */
  tick(nowMs: number): void {
    if (nowMs >= this.#detectionMs) {
      this.#lastReceivedMs = undefined;
      this.#remote = { ...this.#remote, discriminator: 0, demand: false };
      if (this.#state === 'Init' || this.#state === 'Up') {
        this.#become('Down', diagnostic.timeExpired);
        if (!this.#isSilent) this.#send(nowMs, false);
      }
    }
    if (!this.#isSilent && nowMs >= this.#nextSendMs) this.#send(nowMs, false);
  }

  /** The session is ended by will: tells the peer, so that it does not take the path for dead (section 6.8.16). */
  shutDown(nowMs: number): void {
    if (this.#state !== 'AdminDown') this.#become('AdminDown', diagnostic.adminDown);
    if (this.#remote.discriminator !== 0) this.#send(nowMs, false);
  }

  #send(nowMs: number, final: boolean): void {
    const { timing, discriminator, send } = this.#options;
    send(
      encodeControl({
        diagnostic: this.#diagnostic,
        state: this.#state,
        poll: this.#polling && !final,
        final,
        independent: false,
        demand: false,
        detectMultiplier: timing.detectMultiplier,
        myDiscriminator: discriminator,
        yourDiscriminator: this.#remote.discriminator,
        desiredMinTxUs: this.#desiredMs * 1000,
        requiredMinRxUs: timing.receiveIntervalMs * 1000,
        requiredMinEchoRxUs: 0,
      }),
    );
    this.#lastSentMs = nowMs;
    this.#nextSendMs = nowMs + this.#jittered();
  }

  /** The interval of sending follows both ends' wishes, at once. */
  #reschedule(): void {
    const intervalMs = Math.max(this.#desiredMs, this.#remote.minRxMs);
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    this.#nextSendMs = this.#lastSentMs + this.#jittered();
  }

  /** 75 to 100 % of the interval; to 90 % where a single lost packet ends the session (section 6.8.7). */
  #jittered(): number {
    const range = this.#options.timing.detectMultiplier === 1 ? 0.15 : 0.25;
    return this.#intervalMs * (0.75 + range * this.#options.random());
  }
}
