import type { BgpState } from './bgp.ts';
import { type Negotiated, type Speaker, negotiate, ourOpen } from './negotiation.ts';
import { keepaliveFrame, notificationFrame } from './wire/frame.ts';
import type { Incoming } from './wire/incoming.ts';
import {
  BgpError,
  type Notification,
  cease,
  describeNotification,
  errorCode,
  shutdownData,
} from './wire/notification.ts';
import { type Family } from './wire/prefix.ts';

/** What happens to a session. `atMs` of {@link BgpFsm.handle} says when. */
export type FsmEvent =
  | { readonly type: 'start' }
  /** Ends the session for good; `silent`: without a NOTIFICATION, for a graceful restart. */
  | { readonly type: 'stop'; readonly silent: boolean; readonly words: string }
  /** The connection is there; `identifier` is the BGP identifier to speak under. */
  | { readonly type: 'connected'; readonly identifier: number }
  | { readonly type: 'connect-failed'; readonly reason: string }
  /** The connection ended, by the peer or by the transport. */
  | { readonly type: 'closed'; readonly reason: string }
  | { readonly type: 'message'; readonly message: Incoming }
  /** What the peer sent is wrong. */
  | { readonly type: 'refuse'; readonly error: BgpError }
  | { readonly type: 'bfd-down'; readonly diagnostic: string }
  /** {@link BgpFsm.nextDeadlineMs} may have come. */
  | { readonly type: 'timer' };

/** What the session is to do, in order. */
export type FsmAction =
  | { readonly type: 'connect' }
  /** Sends what waits, then closes; of that connection nothing more is to be heard. */
  | { readonly type: 'close' }
  | { readonly type: 'send'; readonly kind: 'open' | 'keepalive' | 'notification'; readonly frame: Buffer }
  | { readonly type: 'established'; readonly negotiated: Negotiated }
  /** The session was established and is no more. */
  | { readonly type: 'lost' }
  | { readonly type: 'refresh'; readonly family: Family };

export interface FsmSettings extends Speaker {
  /** Longest time between two attempts to connect. */
  readonly connectTimeSeconds: number;
  /** 0 ≤ x < 1; timers are shortened by up to a quarter with it (RFC 4271 section 10). */
  readonly random: () => number;
  /** What a connection that nobody answers says of itself, with the likely causes. */
  readonly noAnswer: string;
}

/** A connection that is not there by then is tried anew: in a segment that loses no packet it takes one round trip. */
const connectTimeoutMs = 10_000;
/**
 * How long the peer may take for its OPEN. RFC 4271 suggests a large value of four minutes; a peer that accepted
 * and then lost power would keep us from its successor for as long.
 */
const openHoldMs = 60_000;
const firstRetryMs = 1000;
/** A session of this age has shown that it works: the next failure is retried as a first one. */
const provenAfterMs = 30_000;

type TimerName = 'connectRetry' | 'hold' | 'keepalive' | 'idleHold';

/**
 * The finite state machine of RFC 4271 section 8 for one session that only dials: no connection is accepted, so none
 * collides. Pure: what happens goes in with the time, what is to be done comes out. Optional attributes in use:
 * AllowAutomaticStart, DampPeerOscillations with IdleHoldTimer (section 8.1.1), SendNOTIFICATIONwithoutOPEN no.
 */
export class BgpFsm {
  readonly #settings: FsmSettings;
  readonly #timers = new Map<TimerName, number>();
  #state: BgpState = 'Idle';
  #stopped = true;
  #lastError: string | undefined;
  #failures = 0;
  #establishedAtMs = 0;
  #everEstablished = false;
  /** The peer knows no optional parameters: it is spoken to without capabilities (RFC 5492 section 3). */
  #plain = false;
  #negotiated: Negotiated | undefined;
  /** Ours, as the present OPEN had it. */
  #identifier = 0;
  #actions: FsmAction[] = [];

  constructor(settings: FsmSettings) {
    this.#settings = settings;
  }

  get state(): BgpState {
    return this.#state;
  }

  /** Why the last session or attempt ended; cleared when a session is established. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** What the OPENs settled; undefined before OpenConfirm. */
  get negotiated(): Negotiated | undefined {
    return this.#negotiated;
  }

  /** When a `timer` event is next due, on the clock of `atMs`; undefined: no timer runs. */
  get nextDeadlineMs(): number | undefined {
    return this.#timers.size === 0 ? undefined : Math.min(...this.#timers.values());
  }

  handle(event: FsmEvent, atMs: number): FsmAction[] {
    this.#actions = [];
    if (event.type === 'start') this.#start(atMs);
    else if (event.type === 'stop') this.#stop(event, atMs);
    else if (!this.#stopped) this.#happen(event, atMs);
    return this.#actions;
  }

  #happen(event: Exclude<FsmEvent, { type: 'start' | 'stop' }>, atMs: number): void {
    switch (event.type) {
      case 'connected':
        return this.#connected(event.identifier, atMs);
      case 'connect-failed':
        if (this.#state === 'Connect') this.#retry(event.reason, atMs);
        return;
      case 'closed':
        return this.#closed(event.reason, atMs);
      case 'message':
        return this.#message(event.message, atMs);
      case 'refuse':
        return this.#refuse(event.error, atMs);
      case 'bfd-down':
        if (this.#state === 'Established')
          this.#refuse(new BgpError(errorCode.cease, cease.bfdDown, undefined, event.diagnostic), atMs);
        return;
      case 'timer':
        return this.#timer(atMs);
    }
  }

  #start(atMs: number): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#connect(atMs);
  }

  #connect(atMs: number): void {
    this.#timers.clear();
    this.#timers.set('connectRetry', atMs + connectTimeoutMs);
    this.#state = 'Connect';
    this.#actions.push({ type: 'connect' });
  }

  #stop({ silent, words }: { silent: boolean; words: string }, atMs: number): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const subcode = cease.administrativeShutdown;
    // Before OPENs are exchanged there is nobody to tell (RFC 4271 section 8.2.2: Connect and Active just drop it).
    if (!silent && isOpen(this.#state))
      this.#send({ code: errorCode.cease, subcode, data: shutdownData(words) });
    if (this.#state !== 'Idle') this.#leave(atMs);
    this.#timers.clear();
    this.#lastError = undefined;
  }

  #connected(identifier: number, atMs: number): void {
    if (this.#state !== 'Connect') return;
    const frame = ourOpen(this.#settings, identifier, {
      plain: this.#plain,
      restarted: !this.#everEstablished,
    });
    this.#actions.push({ type: 'send', kind: 'open', frame });
    this.#timers.clear();
    this.#timers.set('hold', atMs + openHoldMs);
    this.#state = 'OpenSent';
    this.#identifier = identifier;
  }

  #closed(reason: string, atMs: number): void {
    if (!isOpen(this.#state)) return;
    const early = ' before its OPEN: it may not have this node as a neighbour';
    this.#retry(this.#state === 'OpenSent' ? reason + early : reason, atMs);
  }

  /** The connection failed or ended: wait in Active for another attempt. */
  #retry(reason: string, atMs: number): void {
    this.#lastError = reason;
    this.#leave(atMs);
    this.#state = 'Active';
    this.#timers.set('connectRetry', atMs + this.#backOffMs());
  }

  /** The peer or we found fault: Idle, and an automatic start after the back-off. */
  #idle(reason: string, atMs: number): void {
    this.#lastError = reason;
    this.#leave(atMs);
    this.#timers.set('idleHold', atMs + this.#backOffMs());
  }

  /** Drops the connection, and the session on it. */
  #leave(atMs: number): void {
    if (this.#state === 'Established') {
      if (atMs - this.#establishedAtMs >= provenAfterMs) this.#failures = 0;
      this.#plain = false;
      this.#actions.push({ type: 'lost' });
    }
    if (this.#state !== 'Active') this.#actions.push({ type: 'close' });
    this.#state = 'Idle';
    this.#negotiated = undefined;
    this.#timers.clear();
  }

  /** Doubles from a second up to the configured time; each peer's own jitter keeps speakers apart. */
  #backOffMs(): number {
    const longest = Math.max(1, this.#settings.connectTimeSeconds) * 1000;
    const delay = Math.min(longest, firstRetryMs * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return this.#jitter(delay);
  }

  #jitter(ms: number): number {
    return ms * (0.75 + 0.25 * this.#settings.random());
  }

  #timer(atMs: number): void {
    const due = (name: TimerName): boolean => {
      const deadline = this.#timers.get(name);
      return deadline !== undefined && deadline <= atMs;
    };
    if (due('connectRetry')) {
      if (this.#state === 'Active') return this.#connect(atMs);
      this.#lastError = this.#settings.noAnswer;
      this.#actions.push({ type: 'close' });
      return this.#connect(atMs);
    }
    if (due('idleHold')) return this.#connect(atMs);
    if (due('hold')) {
      const silence = this.#negotiated?.holdTimeSeconds ?? openHoldMs / 1000;
      const why = `nothing was heard for ${silence} s`;
      return this.#refuse(new BgpError(errorCode.holdTimer, 0, undefined, why), atMs);
    }
    if (due('keepalive')) this.#keepalive(atMs);
  }

  #keepalive(atMs: number): void {
    this.#actions.push({ type: 'send', kind: 'keepalive', frame: keepaliveFrame() });
    const { keepaliveSeconds } = this.#negotiated as Negotiated;
    if (keepaliveSeconds > 0) this.#timers.set('keepalive', atMs + this.#jitter(keepaliveSeconds * 1000));
  }

  #message(message: Incoming, atMs: number): void {
    if (!isOpen(this.#state)) return;
    if (message.type === 'notification') return this.#notified(message.notification, atMs);
    if (this.#state === 'OpenSent' && message.type === 'open') return this.#opened(message, atMs);
    if (this.#state === 'OpenConfirm' && message.type === 'keepalive') return this.#establish(atMs);
    if (this.#state === 'Established' && message.type !== 'open') {
      this.#restartHold(atMs);
      if (message.type === 'route-refresh' && message.family !== undefined)
        this.#actions.push({ type: 'refresh', family: message.family });
      return;
    }
    // RFC 6608: which state it was not expected in, and the type.
    const subcode = this.#state === 'OpenSent' ? 1 : this.#state === 'OpenConfirm' ? 2 : 3;
    this.#refuse(new BgpError(errorCode.fsm, subcode, Buffer.from([wireType[message.type]])), atMs);
  }

  #notified(notification: Notification, atMs: number): void {
    // Unsupported optional parameter: the peer is from before RFC 5492.
    if (notification.code === errorCode.open && notification.subcode === 4) this.#plain = true;
    this.#idle(`the peer says: ${describeNotification(notification)}`, atMs);
  }

  #opened({ open }: Extract<Incoming, { type: 'open' }>, atMs: number): void {
    let negotiated: Negotiated;
    try {
      const heard = this.#plain ? { ...open, capabilities: undefined } : open;
      negotiated = negotiate(heard, this.#settings, this.#identifier);
    } catch (error) {
      if (error instanceof BgpError) return this.#refuse(error, atMs);
      throw error;
    }
    this.#negotiated = negotiated;
    this.#state = 'OpenConfirm';
    this.#timers.clear();
    this.#restartHold(atMs);
    this.#keepalive(atMs);
  }

  #establish(atMs: number): void {
    this.#restartHold(atMs);
    this.#state = 'Established';
    this.#establishedAtMs = atMs;
    this.#everEstablished = true;
    this.#lastError = undefined;
    this.#actions.push({ type: 'established', negotiated: this.#negotiated as Negotiated });
  }

  #restartHold(atMs: number): void {
    const { holdTimeSeconds } = this.#negotiated as Negotiated;
    if (holdTimeSeconds > 0) this.#timers.set('hold', atMs + holdTimeSeconds * 1000);
  }

  #refuse(error: BgpError, atMs: number): void {
    if (!isOpen(this.#state)) return;
    this.#send(error);
    this.#idle(`sent: ${error.message}`, atMs);
  }

  #send(notification: Notification): void {
    this.#actions.push({ type: 'send', kind: 'notification', frame: notificationFrame(notification) });
  }
}

/** States in which messages are exchanged. */
const isOpen = (state: BgpState): boolean =>
  state === 'OpenSent' || state === 'OpenConfirm' || state === 'Established';

const wireType: Readonly<Record<Incoming['type'], number>> = {
  open: 1,
  update: 2,
  notification: 3,
  keepalive: 4,
  'route-refresh': 5,
};
