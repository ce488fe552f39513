import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { errorCode } from '../http2/frames.ts';
import { encodeFields } from '../http2/hpack.ts';
import { fieldOf, type Request, type ServerStream, type StreamReceiver } from '../http2/stream.ts';
import { acceptedEncodings, decompress, MessageCutter } from './messages.ts';
import type { CallCounters } from './counters.ts';
import type { DuplexReceiver, Method, SendingStream, UnaryAnswer } from './method.ts';
import { encodeMessage, type Status, statusOf, timeoutMs } from './status.ts';

const maxTimerMs = 2 ** 31 - 1;
/** How long a caller that has its answer may leave its side open. */
const lingerMs = 5_000;
const answerFields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const;
const answerHeaders = encodeFields(answerFields);
const ok = encodeFields([['grpc-status', '0']]);

export interface CountedMethod {
  readonly method: Method;
  readonly counters: CallCounters;
}

export interface CallOptions {
  methods: ReadonlyMap<string, CountedMethod>;
  /** Bytes of messages, counted up. */
  traffic: { receivedBytes: number; sentBytes: number };
  maxMessageBytes: number;
  clock: Clock;
  /** Calls that may last: ended when the server stops. */
  lasting: Set<SendingStream>;
  /** Told of calls that failed inside the server, not by what the caller sent. */
  failed: (path: string, error: unknown) => void;
}

/** Carries out one gRPC call that arrived as an HTTP/2 stream. */
export function answerCall(stream: ServerStream, request: Request, options: CallOptions): void {
  const { path } = request;
  const counted = options.methods.get(path);
  const call = new Call(stream, request, options, counted?.counters);
  if (counted === undefined) {
    const [, service = '', name = ''] = path.split('/');
    call.end(new EtcdError(grpcCode.unimplemented, `unknown method ${name} for service ${service}`));
    return;
  }
  call.start(counted.method);
}

class Call implements SendingStream, StreamReceiver {
  readonly #stream: ServerStream;
  readonly #options: CallOptions;
  readonly #path: string;
  readonly #counters: CallCounters | undefined;
  readonly #encoding: string | undefined;
  readonly #messages: MessageCutter;
  #receiver: DuplexReceiver | undefined;
  #deadline: ClockTimer | undefined;
  #abort: AbortController | undefined;
  #responded = false;
  #ended = false;
  /** The caller has sent all. */
  #half = false;
  /** A message of the caller is being dealt with: the next ones wait. */
  #busy = false;
  #room: PromiseWithResolvers<void> | undefined;
  #linger: ClockTimer | undefined;

  constructor(
    stream: ServerStream,
    request: Request,
    options: CallOptions,
    counters: CallCounters | undefined,
  ) {
    this.#stream = stream;
    this.#options = options;
    this.#path = request.path;
    this.#counters = counters;
    if (counters !== undefined) counters.started++;
    this.#encoding = fieldOf(request, 'grpc-encoding');
    this.#messages = new MessageCutter(options.maxMessageBytes);
    const timeout = fieldOf(request, 'grpc-timeout');
    if (timeout !== undefined) this.#setDeadline(timeout);
    stream.receiver = this;
  }

  #setDeadline(header: string): void {
    const ms = timeoutMs(header);
    if (ms === undefined) return;
    this.#deadline = this.#options.clock.setTimeout(
      () => this.end(new EtcdError(grpcCode.deadlineExceeded, 'context deadline exceeded')),
      Math.min(maxTimerMs, Math.ceil(ms)),
    );
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#ended) this.#abort.abort();
    return this.#abort.signal;
  }

  get pendingBytes(): number {
    return this.#stream.pendingBytes;
  }

  start(method: Method): void {
    if (this.#ended) return;
    if (method.type !== 'unary') this.#options.lasting.add(this);
    if (method.type === 'duplex') {
      this.#receiver = method.open(this);
    } else {
      this.#receiver = once(this, (message) => {
        if (method.type === 'unary') return this.#unary(method.call(message));
        method.call(message, this).then(
          () => this.end(),
          (error: unknown) => this.end(error),
        );
      });
    }
  }

  data(chunk: Buffer): void {
    if (this.#ended) return;
    this.#messages.push(chunk);
    if (!this.#busy) this.#receive();
  }

  /** The caller has sent all. */
  halfClosed(): void {
    this.#half = true;
    if (!this.#busy) this.#receive();
  }

  /** Hands over the messages that are whole, one after the other. */
  #receive(): void {
    try {
      while (!this.#ended) {
        const next = this.#messages.next();
        if (next === undefined) break;
        const message = next.compressed
          ? decompress(next.message, this.#encoding, this.#options.maxMessageBytes)
          : next.message;
        this.#options.traffic.receivedBytes += next.message.length;
        const receiver = this.#receiver as DuplexReceiver;
        const settled =
          message instanceof Promise
            ? message.then((plain) => (this.#ended ? undefined : receiver.receive(plain)))
            : receiver.receive(message);
        if (settled instanceof Promise) return this.#receiveAfter(settled);
      }
      if (!this.#half || this.#ended) return;
      if (this.#messages.isInside)
        throw new EtcdError(grpcCode.internal, 'grpc: the request ends inside a message');
      this.#half = false;
      this.#receiver?.half();
    } catch (error) {
      this.end(error);
    }
  }

  #receiveAfter(settled: Promise<void>): void {
    this.#busy = true;
    // What arrives meanwhile stays in the stream: its window closes, and the caller waits.
    this.#stream.pause();
    settled.then(
      () => {
        this.#busy = false;
        this.#stream.resume();
        this.#receive();
      },
      (error: unknown) => this.end(error),
    );
  }

  #unary(answer: UnaryAnswer | Promise<UnaryAnswer>): void {
    if (!(answer instanceof Promise)) return this.#finish(answer);
    answer.then(
      (frame) => this.#finish(frame),
      (error: unknown) => this.end(error),
    );
  }

  #respond(): void {
    if (this.#responded) return;
    this.#responded = true;
    this.#stream.respond(answerHeaders);
  }

  /** The one answer of a unary call, and its good end. */
  #finish(frame: UnaryAnswer): void {
    if (this.#ended || this.#stream.isClosed) return;
    this.#respond();
    this.#over(grpcCode.ok);
    if (frame instanceof Uint8Array) {
      this.#options.traffic.sentBytes += frame.length;
      this.#stream.write(frame);
    } else {
      this.#options.traffic.sentBytes += frame.bytes;
      this.#stream.writePieces(frame.bytes, frame.pieces);
    }
    this.#stream.end(ok);
  }

  send(frame: Buffer): Promise<void> | undefined {
    if (this.#ended || this.#stream.isClosed) return undefined;
    this.#respond();
    this.#options.traffic.sentBytes += frame.length;
    if (this.#stream.write(frame)) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** There is room to send more. */
  drain(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }

  end(error?: unknown): void {
    if (this.#ended) return;
    const status: Status = error === undefined ? { code: grpcCode.ok, message: '' } : statusOf(error);
    if (
      status.code === grpcCode.unknown ||
      (status.code === grpcCode.internal && !(error instanceof EtcdError))
    )
      this.#options.failed(this.#path, error);
    this.#over(status.code);
    const stream = this.#stream;
    if (stream.isClosed) return;
    if (this.#responded) stream.end(encodeFields(trailersOf(status)));
    else {
      this.#responded = true;
      stream.respond(encodeFields([...answerFields, ...trailersOf(status)]), true);
    }
    this.#dropRest();
  }

  /**
   * A caller that has its answer ends its side by itself; one that goes on sending is told that nobody listens
   * (RFC 9113, 8.1). Not at once: a reset may overtake the answer in the caller's program.
   */
  #dropRest(): void {
    const stream = this.#stream;
    if (stream.isRequestEnded) return;
    stream.resume();
    this.#linger = this.#options.clock.setTimeout(() => stream.reset(errorCode.none), lingerMs);
  }

  #over(code: number): void {
    this.#ended = true;
    const handled = this.#counters?.handled;
    handled?.set(code, (handled.get(code) ?? 0) + 1);
    this.#deadline?.cancel();
    this.#abort?.abort();
    this.#options.lasting.delete(this);
    this.drain();
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.closed();
  }

  /** The stream is over. */
  closed(): void {
    this.#linger?.cancel();
    if (!this.#ended) this.#over(grpcCode.canceled);
    else this.drain();
  }
}

function trailersOf({ code, message }: Status): Array<[name: string, value: string]> {
  return [
    ['grpc-status', String(code)],
    ...(message === '' ? [] : [['grpc-message', encodeMessage(message)] as [string, string]]),
    ...(code === grpcCode.unimplemented
      ? [['grpc-accept-encoding', acceptedEncodings] as [string, string]]
      : []),
  ];
}

/** Of a call with one request, which is dealt with when the caller has sent all. */
function once(call: SendingStream, handle: (message: Buffer) => void): DuplexReceiver {
  let received: Buffer | undefined;
  return {
    receive(message) {
      if (received !== undefined)
        throw new EtcdError(grpcCode.internal, 'grpc: a second message in a call that takes one');
      received = message;
    },
    half() {
      if (received === undefined)
        call.end(new EtcdError(grpcCode.internal, 'grpc: the call ended without a request'));
      else handle(received);
    },
    closed: () => undefined,
  };
}
