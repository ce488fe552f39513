import type { Clock } from '@cloudless/kube/clock';
import type { GossipSettings } from '../settings.ts';
import { addressText, endpointText } from '../wire/address.ts';
import { limits } from '../wire/limits.ts';
import { encodeMessage } from '../wire/messages.ts';
import type { Body, NodeState } from '../wire/messages.ts';
import type { Awareness } from './awareness.ts';
import type { BroadcastQueue } from './broadcast-queue.ts';
import { isGone, memberState } from './member.ts';
import type { MemberRecord } from './member.ts';
import { Members } from './members.ts';
import { saneVersions, verifyVersions } from './protocol-versions.ts';
import { suspicionTimeoutMs } from './scaling.ts';
import { Suspicion } from './suspicion.ts';

/** Warnings of the protocol; `key` names kind and peer, so that repetitions can be held back. */
export type Warn = (key: string, fields: Record<string, unknown>, text: string) => void;

export interface MembershipOptions {
  readonly self: { name: string; addr: Buffer; port: number; meta: Buffer; vsn: Buffer };
  /** Taken for members that tell no port (protocol version 1). */
  readonly defaultPort: number;
  readonly settings: Readonly<GossipSettings>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly awareness: Awareness;
  readonly warn: Warn;
  /** Tells a suspect that it is one, so that it answers this member. */
  readonly askSuspect: (member: MemberRecord) => void;
  /** Called for each change of a member that others can see; none: one was forgotten. */
  readonly onChange: (member?: MemberRecord) => void;
}

const incarnationMax = 0xffffffff;

/**
 * Who is believed to be what: alive, suspect, dead and left messages against what is known, as memberlist's state.go
 * judges them. Sends nothing itself: what is to be told on goes into the queue of broadcasts.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #broadcasts: BroadcastQueue;
  readonly members: Members;
  #incarnation = 0;
  #left = false;

  constructor(options: MembershipOptions, members: Members, broadcasts: BroadcastQueue) {
    this.#options = options;
    this.members = members;
    this.#broadcasts = broadcasts;
    this.enter();
  }

  /** This member itself. */
  get self(): MemberRecord {
    const self = this.members.get(this.#options.self.name);
    if (!self) throw new Error('this member is not among its members');
    return self;
  }

  get left(): boolean {
    return this.#left;
  }

  /** Says that this member is alive: at the start, and to come back after {@link leave}. */
  enter(): void {
    const { name, addr, port, meta, vsn } = this.#options.self;
    this.#left = false;
    const Incarnation = this.#nextIncarnation();
    this.#alive({ Incarnation, Node: name, Addr: addr, Port: port, Meta: meta, Vsn: vsn }, true);
  }

  /** Says that this member goes; `onTold` when that was broadcast. False: it has gone before. */
  leave(onTold: () => void): boolean {
    if (this.#left) return false;
    this.#left = true;
    const { name, incarnation } = this.self;
    this.dead({ Incarnation: incarnation, Node: name, From: name }, onTold);
    return true;
  }

  /** Someone says that a member is alive. */
  alive(body: Body<'alive'>): void {
    this.#alive(body, false);
  }

  #alive(told: Body<'alive'>, ofMyself: boolean): void {
    const isSelf = told.Node === this.#options.self.name;
    if (this.#left && isSelf) return;
    const body = { ...told, Port: told.Port === 0 ? this.#options.defaultPort : told.Port };
    const address = addressText(body.Addr);
    if (address === undefined || !this.#acceptable(body)) return;
    const endpoint = { address, port: body.Port };
    const known = this.members.get(body.Node);
    const reclaims = known !== undefined && endpointText(known.endpoint) !== endpointText(endpoint);
    if (reclaims && !this.#mayReclaim(known, endpointText(endpoint))) return;
    if (!reclaims && body.Incarnation < (known?.incarnation ?? 0) + (isSelf ? 0 : 1)) return;
    const member = known ?? this.#admit(body, endpoint);
    if (!member) return;
    member.suspicion?.cancel();
    member.suspicion = undefined;
    if (isSelf && !ofMyself) this.#answerForSelf(member, body);
    else this.#update(member, body, endpoint);
  }

  /** Whether an alive message is one that a member could send. */
  #acceptable(body: Body<'alive'>): boolean {
    const { warn } = this.#options;
    const nameBytes = Buffer.byteLength(body.Node);
    const fault =
      nameBytes === 0 || nameBytes > limits.nameBytes
        ? `a name of ${nameBytes} bytes`
        : body.Meta.length > limits.metaBytes
          ? `a meta of ${body.Meta.length} bytes`
          : saneVersions(body.Vsn)
            ? undefined
            : `protocol versions ${[...body.Vsn].join(' ')}`;
    if (fault) warn('alive', { member: body.Node.slice(0, 64) }, `not heeding a member with ${fault}`);
    return fault === undefined;
  }

  /** A new member, dead until its message is taken in. */
  #admit(body: Body<'alive'>, endpoint: MemberRecord['endpoint']): MemberRecord | undefined {
    if (this.members.size >= limits.members) {
      this.#options.warn('full', { member: body.Node }, `not taking in more than ${limits.members} members`);
      return undefined;
    }
    const member: MemberRecord = {
      name: body.Node,
      addr: ownBytes(body.Addr),
      endpoint,
      meta: Buffer.alloc(0),
      vsn: Buffer.alloc(0),
      incarnation: 0,
      state: 'dead',
      stateChangeMs: this.#options.clock.monotonicMs(),
      suspicion: undefined,
    };
    this.members.add(member);
    return member;
  }

  /** Another address under a known name is a conflict, unless the known one left, or is dead for long enough. */
  #mayReclaim(known: MemberRecord, theirs: string): boolean {
    const { settings, clock, warn } = this.#options;
    const reclaimable =
      settings.deadNodeReclaimMs > 0 &&
      clock.monotonicMs() - known.stateChangeMs > settings.deadNodeReclaimMs;
    if (known.state === 'left' || (known.state === 'dead' && reclaimable)) return true;
    const fields = {
      member: known.name,
      known: endpointText(known.endpoint),
      told: theirs,
      state: known.state,
    };
    warn(`conflict ${known.name}`, fields, 'two members have one name: node names must be unique');
    return false;
  }

  /** An alive message about this member: news are refuted, an echo of what it said is not. */
  #answerForSelf(self: MemberRecord, body: Body<'alive'>): void {
    const same =
      body.Incarnation === self.incarnation && self.meta.equals(body.Meta) && self.vsn.equals(body.Vsn);
    if (!same) this.#refute(self, body.Incarnation);
  }

  #update(member: MemberRecord, body: Body<'alive'>, endpoint: MemberRecord['endpoint']): void {
    this.#broadcasts.add(member.name, encodeMessage('alive', body));
    const changes =
      member.state !== 'alive' ||
      !member.meta.equals(body.Meta) ||
      endpointText(member.endpoint) !== endpointText(endpoint);
    if (body.Vsn.length >= 6) member.vsn = ownBytes(body.Vsn.subarray(0, 6));
    member.incarnation = body.Incarnation;
    member.meta = ownBytes(body.Meta);
    if (!member.addr.equals(body.Addr) || member.endpoint.port !== endpoint.port)
      this.members.move(member, ownBytes(body.Addr), endpoint);
    this.#setState(member, 'alive');
    if (changes) this.#options.onChange(member);
  }

  /** Someone suspects a member. */
  suspect(body: Body<'suspect'>): void {
    const member = this.members.get(body.Node);
    if (!member) return;
    if (body.Incarnation < member.incarnation) {
      this.#remind(member);
      return;
    }
    if (member.suspicion) {
      if (member.suspicion.confirm(body.From))
        this.#broadcasts.add(member.name, encodeMessage('suspect', body));
      return;
    }
    if (member.state !== 'alive') return;
    if (member.name === this.#options.self.name) {
      this.#refute(member, body.Incarnation);
      return;
    }
    this.#broadcasts.add(member.name, encodeMessage('suspect', body));
    member.incarnation = body.Incarnation;
    this.#setState(member, 'suspect');
    member.suspicion = this.#suspicion(member, body.From);
    this.#options.onChange(member);
  }

  #suspicion(member: MemberRecord, from: string): Suspicion {
    const { settings, clock, self } = this.#options;
    // Two probe intervals short of what the multiplier says, as no phase among the members' probes is known.
    const confirmations = settings.suspicionMult - 2;
    const minMs = suspicionTimeoutMs(settings.suspicionMult, this.members.size, settings.probeIntervalMs);
    return new Suspicion({
      clock,
      from,
      expected: this.members.size - 2 < confirmations ? 0 : confirmations,
      minMs,
      maxMs: minMs * settings.suspicionMaxTimeoutMult,
      frozenMs: settings.probeIntervalMs,
      onDoubt: () => this.#options.askSuspect(member),
      onTimeout: () => {
        this.dead({ Incarnation: member.incarnation, Node: member.name, From: self.name });
      },
    });
  }

  /** Someone declares a member dead, or it says itself that it goes. `onTold`: when that was broadcast. */
  dead(body: Body<'dead'>, onTold?: () => void): void {
    const member = this.members.get(body.Node);
    if (!member) return;
    if (body.Incarnation < member.incarnation) {
      this.#remind(member);
      return;
    }
    if (isGone(member)) return;
    if (member.name === this.#options.self.name && !this.#left) {
      this.#refute(member, body.Incarnation);
      return;
    }
    member.suspicion?.cancel();
    member.suspicion = undefined;
    this.#broadcasts.add(member.name, encodeMessage('dead', body), onTold);
    member.incarnation = body.Incarnation;
    this.#setState(member, body.Node === body.From ? 'left' : 'dead');
    this.#options.onChange(member);
  }

  /**
   * Takes in another member's whole state. Its dead are suspected only: they may know better. Throws
   * `ProtocolVersionError` when its members and this one's do not understand one another.
   */
  merge(nodes: readonly NodeState[]): void {
    const known = [...this.members.values()].map((member) => ({
      name: member.name,
      state: memberState[member.state],
      vsn: member.vsn,
    }));
    verifyVersions([
      ...nodes.map((node) => ({ name: node.Name, state: node.State, vsn: node.Vsn })),
      ...known,
    ]);
    for (const node of nodes) this.#mergeNode(node);
  }

  #mergeNode({ Name: Node, Addr, Port, Meta, Incarnation, State, Vsn }: NodeState): void {
    const From = this.#options.self.name;
    if (State === memberState.alive) this.alive({ Incarnation, Node, Addr, Port, Meta, Vsn });
    else if (State === memberState.left) this.dead({ Incarnation, Node, From: Node });
    else if (State === memberState.dead || State === memberState.suspect)
      this.suspect({ Incarnation, Node, From });
  }

  /** The whole state, for a push/pull. */
  states(): NodeState[] {
    return [...this.members.values()].map((member) => ({
      Addr: member.addr,
      Incarnation: member.incarnation,
      Meta: member.meta,
      Name: member.name,
      Port: member.endpoint.port,
      State: memberState[member.state],
      Vsn: member.vsn.length === 6 ? member.vsn : Buffer.alloc(6),
    }));
  }

  /** The next member to probe; forgets those that are gone for long each time a round is over. */
  nextProbe(): MemberRecord | undefined {
    const { settings, clock, self, onChange } = this.#options;
    const forgetBeforeMs = clock.monotonicMs() - settings.gossipToTheDeadMs;
    return this.members.nextProbe(
      (member) => member.name !== self.name && !isGone(member),
      (member) => {
        const forget = member.name !== self.name && isGone(member) && member.stateChangeMs < forgetBeforeMs;
        if (forget) onChange();
        return forget;
      },
    );
  }

  /** Ends every timer. */
  stop(): void {
    for (const member of this.members.values()) member.suspicion?.cancel();
  }

  /**
   * Someone accuses with an incarnation of the past: it has missed the refutation, and would miss it until a push/pull. If
   * that was this member's, it is told again, unless it is being told already. (memberlist only ignores the accusation.)
   */
  #remind(member: MemberRecord): void {
    if (member.name !== this.#options.self.name || this.#left || this.#broadcasts.has(member.name)) return;
    this.#tellOfSelf(member);
  }

  /** Says that this member is alive with an incarnation that beats what was said of it. */
  #refute(self: MemberRecord, accused: number): void {
    self.incarnation = this.#nextIncarnation(accused);
    this.#options.awareness.apply(1);
    this.#tellOfSelf(self);
    this.#options.warn('refute', { incarnation: self.incarnation }, 'refuting what was said of this member');
  }

  #tellOfSelf(self: MemberRecord): void {
    const { name: Node, addr: Addr, endpoint, meta: Meta, vsn: Vsn, incarnation: Incarnation } = self;
    this.#broadcasts.add(
      Node,
      encodeMessage('alive', { Incarnation, Node, Addr, Port: endpoint.port, Meta, Vsn }),
    );
  }

  /** The highest has no next: whoever spent it on a lie can be corrected by a restart of the cluster's gossip only. */
  #nextIncarnation(above = 0): number {
    this.#incarnation = Math.min(Math.max(this.#incarnation, above) + 1, incarnationMax);
    return this.#incarnation;
  }

  #setState(member: MemberRecord, state: MemberRecord['state']): void {
    if (member.state === state) return;
    member.state = state;
    member.stateChangeMs = this.#options.clock.monotonicMs();
  }
}

/** A copy that keeps nothing else alive, neither the packet that it came in nor a part of Node's pool of buffers. */
function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.alloc(bytes.length);
  own.set(bytes);
  return own;
}
