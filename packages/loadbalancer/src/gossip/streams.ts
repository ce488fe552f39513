import type { Socket } from 'node:net';
import type { Clock } from '@cloudless/kube/clock';
import type { SwimNetwork } from './swim/network.ts';
import type { GossipTransport } from './transport.ts';
import type { Endpoint } from './wire/address.ts';
import { endpointText } from './wire/address.ts';
import { LabelError } from './wire/label.ts';
import { limits } from './wire/limits.ts';
import { encodeMessage } from './wire/messages.ts';
import type { Body, NodeState } from './wire/messages.ts';
import type { WireOptions } from './wire/packet.ts';
import { StreamReader, encodePushPull, sealStream } from './wire/stream.ts';
import type { StreamMessage } from './wire/stream.ts';

export interface StreamsOptions {
  readonly wire: WireOptions;
  readonly nodeName: string;
  /** For connecting, and for all that follows on one stream. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly states: () => readonly NodeState[];
  readonly merge: (nodes: readonly NodeState[]) => void;
  /** What is wrong with a stream that another member opened. */
  readonly onProblem: (error: Error, from: Endpoint) => void;
}

/** memberlist's streams, one message each way: push/pull, and the ping for where UDP fails. */
export class GossipStreams implements Pick<SwimNetwork, 'tcpPing' | 'exchange'> {
  readonly #options: StreamsOptions;
  readonly #transport: () => GossipTransport;
  #inbound = 0;
  #inboundBytes = 0;

  /** `transport` is asked for when first needed. */
  constructor(options: StreamsOptions, transport: () => GossipTransport) {
    this.#options = options;
    this.#transport = transport;
  }

  tcpPing(to: Endpoint, ping: Body<'ping'>, timeoutMs: number, done: (answered: boolean) => void): void {
    this.#ask(to, encodeMessage('ping', ping), timeoutMs, (answer) => {
      done(!(answer instanceof Error) && answer.name === 'ack' && answer.body.SeqNo === ping.SeqNo);
    });
  }

  exchange(
    to: Endpoint,
    state: readonly NodeState[],
    join: boolean,
    done: (result: readonly NodeState[] | Error) => void,
  ): void {
    this.#ask(to, encodePushPull(state, join), this.#options.timeoutMs, (answer) => {
      if (answer instanceof Error) done(answer);
      else if (answer.name === 'pushPull') done(answer.nodes);
      else if (answer.name === 'error') done(new Error(`${endpointText(to)} refuses: ${answer.body.Error}`));
      else done(new Error(`${endpointText(to)} answers with a message of type ${answer.name}`));
    });
  }

  #ask(
    to: Endpoint,
    message: Buffer,
    timeoutMs: number,
    done: (answer: StreamMessage | Error) => void,
  ): void {
    const { wire, clock } = this.#options;
    const socket = this.#transport().connect(to);
    const reader = new StreamReader(wire, false);
    let ended = false;
    const end = (answer: StreamMessage | Error): void => {
      if (ended) return;
      ended = true;
      timer.cancel();
      socket.destroy();
      done(answer);
    };
    const timer = clock.setTimeout(() => end(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on('connect', () => socket.write(sealStream(message, true, wire)));
    socket.on('data', (chunk: Buffer) => {
      const answer = attempt(() => reader.push(chunk));
      if (answer !== undefined) end(answer);
    });
    socket.on('error', end);
    socket.on('close', () => end(new Error('the stream was closed without an answer')));
  }

  /** Serves a stream that another member opened. */
  serve(socket: Socket, from: Endpoint): void {
    const { wire, clock, timeoutMs, onProblem } = this.#options;
    socket.on('error', () => socket.destroy());
    if (this.#inbound >= limits.inboundStreams) {
      socket.destroy();
      return;
    }
    this.#inbound++;
    const reader = new StreamReader(wire, true);
    let held = 0;
    const timer = clock.setTimeout(() => socket.destroy(), timeoutMs);
    socket.once('close', () => {
      timer.cancel();
      this.#inbound--;
      this.#inboundBytes -= held;
    });
    socket.on('data', (chunk: Buffer) => {
      if (socket.writableEnded) return;
      held += chunk.length;
      this.#inboundBytes += chunk.length;
      if (this.#inboundBytes > limits.inboundBytes) {
        onProblem(new Error(`all streams together hold more than ${limits.inboundBytes} bytes`), from);
        socket.destroy();
        return;
      }
      const message = attempt(() => reader.push(chunk));
      if (message instanceof Error) this.#refuse(socket, message, from);
      else if (message) this.#answer(socket, message, from);
    });
  }

  #answer(socket: Socket, message: StreamMessage, from: Endpoint): void {
    const { wire, nodeName, states, merge, onProblem } = this.#options;
    if (message.name === 'ping' && (message.body.Node === '' || message.body.Node === nodeName)) {
      const ack = encodeMessage('ack', { SeqNo: message.body.SeqNo, Payload: Buffer.alloc(0) });
      socket.end(sealStream(ack, false, wire));
    } else if (message.name === 'pushPull') {
      socket.end(sealStream(encodePushPull(states(), message.join), false, wire));
      const failed = attempt(() => merge(message.nodes));
      if (failed instanceof Error) onProblem(failed, from);
    } else socket.end();
  }

  /** Says why, unless the other is of another cluster altogether. */
  #refuse(socket: Socket, error: Error, from: Endpoint): void {
    const { wire, onProblem } = this.#options;
    onProblem(error, from);
    if (error instanceof LabelError) socket.end();
    else socket.end(sealStream(encodeMessage('error', { Error: error.message }), false, wire));
  }
}

function attempt<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    return error as Error;
  }
}
