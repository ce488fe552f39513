import assert from 'node:assert/strict';
import type { TravelledDatagram } from '../../socket/ttl-udp-socket.ts';
import type { BfdState } from '../bfd.ts';
import { type ControlPacket, decodeControl, encodeControl } from '../packet.ts';
import type { BfdReport, SessionOrder } from '../thread/messages.ts';
import { BfdSessions } from '../thread/sessions.ts';
import { timing } from './wire.ts';

/** Sockets that a script fills and looks into. */
export class ScriptedNode {
  nowMs = 1000;
  readonly reports: BfdReport[] = [];
  readonly sent: Array<{ readonly to: string; readonly port: number; readonly packet: ControlPacket }> = [];
  readonly waiting = new Map<number, TravelledDatagram[]>();
  readonly fdOf = new Map<string, number>();
  /** Thrown by the next that is opened. */
  refusal: (Error & { code: string }) | undefined;
  readonly sourcePorts: number[] = [];
  #nextFd = 10;
  readonly sessions: BfdSessions;

  constructor(random: () => number) {
    this.sessions = new BfdSessions({
      nowMs: () => this.nowMs,
      random,
      report: (report) => this.reports.push(report),
      sockets: {
        receiver: (address, port) => {
          if (this.refusal) throw this.refusal;
          const fd = this.#nextFd++;
          const key = `${address} ${port}`;
          assert.ok(!this.fdOf.has(key), `two sockets on ${key}`);
          this.fdOf.set(key, fd);
          this.waiting.set(fd, []);
          return {
            fd,
            receive: () => this.waiting.get(fd)?.shift(),
            close: () => void (this.fdOf.delete(key), this.waiting.delete(fd)),
          };
        },
        sender: (_, port, peer) => {
          this.sourcePorts.push(port);
          return {
            send: (bytes) => {
              this.sent.push({
                to: peer.address,
                port: peer.port,
                packet: decodeControl(bytes) as ControlPacket,
              });
              return true;
            },
            close: () => undefined,
          };
        },
      },
    });
  }

  order(id: number, change: Partial<SessionOrder> = {}): SessionOrder {
    return {
      id,
      localAddress: '192.0.2.1',
      peerAddress: '192.0.2.9',
      multihop: false,
      timing,
      minimumTtl: 254,
      packets: new SharedArrayBuffer(8),
      ...change,
    };
  }

  arrive(key: string, datagram: TravelledDatagram): void {
    const fd = this.fdOf.get(key) as number;
    this.waiting.get(fd)?.push(datagram);
    this.sessions.readable(fd);
  }

  step(): void {
    this.nowMs = Math.max(this.nowMs, this.sessions.nextDeadlineMs());
    this.sessions.deadline(this.nowMs);
  }

  states(id: number): BfdState[] {
    return this.reports.flatMap((report) =>
      report.kind === 'state' && report.id === id ? [report.state] : [],
    );
  }
}

/** What a peer says: Down, 50 ms × 3, but for the change. */
export const packetOf = (change: Partial<ControlPacket>): Uint8Array =>
  encodeControl({
    diagnostic: 0,
    state: 'Down',
    poll: false,
    final: false,
    independent: false,
    demand: false,
    detectMultiplier: 3,
    myDiscriminator: 77,
    yourDiscriminator: 0,
    desiredMinTxUs: 50_000,
    requiredMinRxUs: 50_000,
    requiredMinEchoRxUs: 0,
    ...change,
  });
