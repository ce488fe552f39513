import type { LoopPart } from '@cloudless/kube/native/loop';
import {
  openTtlReceiver,
  openTtlSender,
  type TtlReceiver,
  type TtlSender,
} from '../../socket/ttl-udp-socket.ts';
import { BfdMachine } from '../machine.ts';
import { type ControlPacket, decodeControl, diagnosticTexts } from '../packet.ts';
import type { BfdReport, SessionOrder } from './messages.ts';

/** RFC 5881 section 4, RFC 5883 section 5. */
export const bfdPort = { singleHop: 3784, multihop: 4784 } as const;
/** The source port of a session (RFC 5881 section 4). */
const firstSourcePort = 49_152;
const sourcePorts = 65_536 - firstSourcePort;
const sourcePortAttempts = 20;
/** Of one hop: no router was passed (RFC 5881 section 5). */
const untouchedTtl = 255;
const retryMs = 1000;
const datagramsPerTurn = 256;
/** A peer that misses the last word waits for its detection time: it is said more than once. */
const farewells = 3;

/** How the part reaches the world; a test passes its own. */
export interface BfdSockets {
  receiver(address: string, port: number): TtlReceiver;
  sender(address: string, port: number, peer: { address: string; port: number }): TtlSender;
}

export const realSockets: BfdSockets = { receiver: openTtlReceiver, sender: openTtlSender };

interface Session {
  readonly order: SessionOrder;
  readonly discriminator: number;
  /** Received and sent. */
  readonly packets: Uint32Array;
  /** Undefined: its sockets could not be had yet. */
  machine: BfdMachine | undefined;
  sender: TtlSender | undefined;
  receiver: Receiver | undefined;
  problem: string | undefined;
}

interface Receiver {
  readonly socket: TtlReceiver;
  readonly key: string;
  readonly multihop: boolean;
  readonly sessions: Set<Session>;
}

export interface SessionsOptions {
  readonly sockets: BfdSockets;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly report: (report: BfdReport) => void;
}

/** All sessions of a node in a loop: whose packet is it, and may it have come from where it says. */
export class BfdSessions implements LoopPart {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<number, Session>();
  readonly #byDiscriminator = new Map<number, Session>();
  readonly #receivers = new Map<string, Receiver>();
  #fds: readonly number[] = [];
  #retryMs = Infinity;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  add(order: SessionOrder): void {
    const session: Session = {
      order,
      discriminator: this.#newDiscriminator(),
      packets: new Uint32Array(order.packets),
      machine: undefined,
      sender: undefined,
      receiver: undefined,
      problem: undefined,
    };
    this.#sessions.set(order.id, session);
    this.#byDiscriminator.set(session.discriminator, session);
    this.#open(session);
  }

  remove(id: number): void {
    const session = this.#sessions.get(id);
    if (session) {
      for (let i = 0; i < farewells; i++) session.machine?.shutDown(this.#options.nowMs());
      this.#sessions.delete(id);
      this.#byDiscriminator.delete(session.discriminator);
      this.#close(session);
    }
    this.#options.report({ kind: 'removed', id });
  }

  /** Ends all sessions. */
  close(): void {
    for (const id of this.#sessions.keys()) this.remove(id);
  }

  #newDiscriminator(): number {
    for (;;) {
      const discriminator = Math.floor(this.#options.random() * 2 ** 32);
      if (discriminator !== 0 && !this.#byDiscriminator.has(discriminator)) return discriminator;
    }
  }

  #open(session: Session): void {
    const { order } = session;
    const { report, nowMs, random } = this.#options;
    try {
      session.receiver = this.#receiverFor(session);
      session.sender = this.#openSender(order);
    } catch (error) {
      this.#close(session);
      const problem = explain(error as NodeJS.ErrnoException);
      if (session.problem !== problem) report({ kind: 'problem', id: order.id, problem });
      session.problem = problem;
      this.#retryMs = Math.min(this.#retryMs, nowMs() + retryMs);
      return;
    }
    session.problem = undefined;
    const { sender } = session;
    session.machine = new BfdMachine(
      {
        timing: order.timing,
        discriminator: session.discriminator,
        random,
        send: (packet) => {
          if (sender.send(packet)) Atomics.add(session.packets, 1, 1);
        },
        changed: (state, why) =>
          report({
            kind: 'state',
            id: order.id,
            state,
            diagnostic: diagnosticTexts[why] ?? `diagnostic ${why}`,
          }),
      },
      nowMs(),
    );
  }

  #close(session: Session): void {
    session.machine = undefined;
    session.sender?.close();
    session.sender = undefined;
    const { receiver } = session;
    session.receiver = undefined;
    receiver?.sessions.delete(session);
    if (receiver?.sessions.size !== 0) return;
    receiver.socket.close();
    this.#receivers.delete(receiver.key);
    this.#fds = [...this.#receivers.values()].map(({ socket }) => socket.fd);
  }

  #receiverFor(session: Session): Receiver {
    const { localAddress, multihop } = session.order;
    const port = multihop ? bfdPort.multihop : bfdPort.singleHop;
    const key = `${localAddress} ${port}`;
    let receiver = this.#receivers.get(key);
    if (!receiver) {
      const socket = this.#options.sockets.receiver(localAddress, port);
      receiver = { socket, key, multihop, sessions: new Set() };
      this.#receivers.set(key, receiver);
      this.#fds = [...this.#fds, socket.fd];
    }
    receiver.sessions.add(session);
    return receiver;
  }

  #openSender({ localAddress, peerAddress, multihop }: SessionOrder): TtlSender {
    const peer = { address: peerAddress, port: multihop ? bfdPort.multihop : bfdPort.singleHop };
    for (let attempt = 1; ; attempt++) {
      const port = firstSourcePort + Math.floor(this.#options.random() * sourcePorts);
      try {
        return this.#options.sockets.sender(localAddress, port, peer);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === sourcePortAttempts)
          throw error;
      }
    }
  }

  fds(): readonly number[] {
    return this.#fds;
  }

  readable(fd: number): void {
    for (const receiver of this.#receivers.values()) if (receiver.socket.fd === fd) this.#receive(receiver);
  }

  #receive(receiver: Receiver): void {
    for (let i = 0; i < datagramsPerTurn; i++) {
      const datagram = receiver.socket.receive();
      if (!datagram) return;
      if (!receiver.multihop && datagram.ttl !== untouchedTtl) continue;
      const packet = decodeControl(datagram.data);
      if (typeof packet === 'string') continue;
      const session = this.#sessionOf(receiver, packet, datagram.address);
      if (!session || (receiver.multihop && datagram.ttl < session.order.minimumTtl)) continue;
      Atomics.add(session.packets, 0, 1);
      session.machine?.receive(packet, this.#options.nowMs());
    }
  }

  /** By the discriminator that the packet names, and always from the peer; the first ones name none (section 6.3). */
  #sessionOf(receiver: Receiver, packet: ControlPacket, from: string): Session | undefined {
    const isOf = ({ order }: Session): boolean => order.peerAddress.split('%')[0] === from;
    if (packet.yourDiscriminator === 0) return [...receiver.sessions].find(isOf);
    const session = this.#byDiscriminator.get(packet.yourDiscriminator);
    return session && receiver.sessions.has(session) && isOf(session) ? session : undefined;
  }

  nextDeadlineMs(): number {
    let next = this.#retryMs;
    for (const { machine } of this.#sessions.values()) if (machine) next = Math.min(next, machine.nextMs);
    return next;
  }

  deadline(nowMs: number): void {
    for (const { machine } of this.#sessions.values())
      if (machine && machine.nextMs <= nowMs) machine.tick(nowMs);
    if (nowMs < this.#retryMs) return;
    this.#retryMs = Infinity;
    for (const session of this.#sessions.values()) if (!session.machine) this.#open(session);
  }

  /** What arrived meanwhile shows that the peer lives, though it waited: it is read before anybody is given up. */
  frozen(): void {
    for (const receiver of this.#receivers.values()) this.#receive(receiver);
  }
}

function explain(error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE')
    return `${error.message}: another program speaks BFD on this node (bfdd, bird): stop it, or take bfdProfile off the BGPPeer`;
  return error.message;
}
