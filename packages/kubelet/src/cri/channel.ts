import grpc from '@grpc/grpc-js';
import { CriError, criCode } from './error.ts';

export interface ChannelCall {
  /** For errors: `RunPodSandbox`. */
  name: string;
  /** `/runtime.v1.RuntimeService/RunPodSandbox`. */
  path: string;
  signal?: AbortSignal | undefined;
  /** `Infinity` for none. */
  deadlineMs: number;
}

/** Upstream's limit for CRI messages (kubelet: maxMsgSize). */
const maxMessageBytes = 16 * 1024 * 1024;

/**
 * A gRPC connection over a unix socket: bytes in, bytes out. It connects when first used and again, within a
 * second, whenever the other side comes back.
 */
export class Channel {
  #client: grpc.Client;

  constructor(socketPath: string) {
    this.#client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.min_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.enable_retries': 0,
    });
  }

  unary(call: ChannelCall, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (call.signal?.aborted) return reject(aborted(call));
      const sent = this.#client.makeUnaryRequest(
        call.path,
        identity,
        identity,
        request,
        new grpc.Metadata(),
        callOptions(call),
        (error, response) => {
          call.signal?.removeEventListener('abort', cancel);
          if (error) reject(criError(call, error));
          else resolve(response as Buffer);
        },
      );
      const cancel = (): void => sent.cancel();
      call.signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Ends by returning when the server ends the stream; leaving the loop cancels the call. */
  async *stream(call: ChannelCall, request: Buffer): AsyncGenerator<Buffer, void, undefined> {
    if (call.signal?.aborted) throw aborted(call);
    const sent = this.#client.makeServerStreamRequest(
      call.path,
      identity,
      identity,
      request,
      new grpc.Metadata(),
      callOptions(call),
    );
    const cancel = (): void => sent.cancel();
    call.signal?.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of sent) yield message as Buffer;
    } catch (error) {
      throw criError(call, error);
    } finally {
      call.signal?.removeEventListener('abort', cancel);
      sent.cancel();
    }
  }

  close(): void {
    this.#client.close();
  }
}

const identity = (bytes: Buffer): Buffer => bytes;

const callOptions = (call: ChannelCall): grpc.CallOptions =>
  call.deadlineMs === Infinity ? {} : { deadline: Date.now() + call.deadlineMs };

const aborted = (call: ChannelCall): CriError =>
  new CriError(call.name, criCode.Cancelled, 'cancelled before it was sent');

function criError(call: ChannelCall, error: unknown): CriError {
  if (error instanceof CriError) return error;
  if (error instanceof Error && 'code' in error && typeof error.code === 'number') {
    const text = 'details' in error && typeof error.details === 'string' ? error.details : error.message;
    return new CriError(call.name, error.code, text, error);
  }
  return new CriError(
    call.name,
    criCode.Unknown,
    error instanceof Error ? error.message : String(error),
    error,
  );
}
