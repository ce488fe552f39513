import type { LongFrame } from '../codec/responses.ts';

/**
 * What a gRPC service is made of, whatever carries it. Requests arrive as message bytes; answers leave as frames: a
 * buffer that holds gRPC's 5-byte prefix (not compressed, length) and the message behind it.
 */
export type Method =
  | { readonly type: 'unary'; call(request: Buffer): UnaryAnswer | Promise<UnaryAnswer> }
  | { readonly type: 'server-stream'; call(request: Buffer, stream: SendingStream): Promise<void> }
  | { readonly type: 'duplex'; open(stream: SendingStream): DuplexReceiver };

/** A long one is made in pieces while it is sent. */
export type UnaryAnswer = Buffer | LongFrame;

/** Methods by their path (`/etcdserverpb.KV/Range`). */
export type Methods = ReadonlyMap<string, Method>;

export interface SendingStream {
  /** Aborts when the caller is gone, its deadline is over, or the server stops. */
  readonly signal: AbortSignal;
  /** Sends a frame. A promise: the caller reads slowly; it settles when there is room again, or the stream ended. */
  send(frame: Buffer): Promise<void> | undefined;
  /** Bytes that were sent and wait for the reader. */
  readonly pendingBytes: number;
  /** Ends the call: well, or with an error that becomes its status. */
  end(error?: unknown): void;
}

export interface DuplexReceiver {
  /** One message of the caller. A promise holds up the next one. An exception ends the call with its status. */
  receive(message: Buffer): void | Promise<void>;
  /** The caller will send nothing more. */
  half(): void;
  /** The call is over, whoever ended it. Called once. */
  closed(): void;
}
