import type { Endpoint } from '../wire/address.ts';
import type { Body, NodeState } from '../wire/messages.ts';

/** What the protocol wants of the network. Nothing here throws; `done` is called once, never within the call. */
export interface SwimNetwork {
  sendPacket(to: Endpoint, packet: Buffer): void;
  tcpPing(to: Endpoint, ping: Body<'ping'>, timeoutMs: number, done: (answered: boolean) => void): void;
  /** Sends this member's state over a stream and gets the other's. */
  exchange(
    to: Endpoint,
    state: readonly NodeState[],
    join: boolean,
    done: (result: readonly NodeState[] | Error) => void,
  ): void;
}
