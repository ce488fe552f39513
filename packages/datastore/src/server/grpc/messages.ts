import { gunzip, inflate } from 'node:zlib';
import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';

const prefixBytes = 5;
/** What gRPC calls the encodings that requests may be compressed with. */
export const acceptedEncodings = 'identity,gzip,deflate';

/**
 * Cuts the body of a call into its messages. A message that lies in one chunk is handed over as a view of it; nothing
 * beyond the limit is ever gathered.
 */
export class MessageCutter {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a message was begun and not ended. */
  get isInside(): boolean {
    return this.#bytes > 0;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /**
   * The next whole message; undefined when more must arrive first.
   *
   * @throws EtcdError `resourceExhausted` when it is too large (grpc-go's text), `internal` for a prefix that is none
   */
  next(): { compressed: boolean; message: Buffer } | undefined {
    if (this.#bytes < prefixBytes) return undefined;
    const head = this.#joined(prefixBytes);
    const flag = head[0] as number;
    const length = head.readUInt32BE(1);
    if (flag > 1) throw new EtcdError(grpcCode.internal, `grpc: received unexpected payload format ${flag}`);
    if (length > this.#maxBytes) throw tooLarge(length, this.#maxBytes);
    if (this.#bytes < prefixBytes + length) return undefined;
    const whole = this.#joined(prefixBytes + length);
    const rest = whole.subarray(prefixBytes + length);
    this.#bytes -= prefixBytes + length;
    if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    return { compressed: flag === 1, message: whole.subarray(prefixBytes, prefixBytes + length) };
  }

  /** The first chunk, joined with as many as it takes to hold so many bytes. */
  #joined(bytes: number): Buffer {
    let first = this.#chunks[0] as Buffer;
    if (first.length >= bytes) return first;
    first = Buffer.concat(this.#chunks);
    this.#chunks = [first];
    return first;
  }
}

const tooLarge = (bytes: number, maxBytes: number): EtcdError =>
  new EtcdError(
    grpcCode.resourceExhausted,
    `grpc: received message larger than max (${bytes} vs. ${maxBytes})`,
  );

/**
 * The message behind a compressed one.
 *
 * @throws EtcdError `unimplemented` for an encoding that is not offered, `resourceExhausted` when it grows too large,
 *   `internal` when it cannot be read
 */
export function decompress(message: Buffer, encoding: string | undefined, maxBytes: number): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity')
    return Promise.reject(
      new EtcdError(grpcCode.internal, 'grpc: compressed flag set with identity or empty encoding'),
    );
  const algorithm = encoding === 'gzip' ? gunzip : encoding === 'deflate' ? inflate : undefined;
  if (algorithm === undefined)
    return Promise.reject(
      new EtcdError(
        grpcCode.unimplemented,
        `grpc: Decompressor is not installed for grpc-encoding "${encoding}"`,
      ),
    );
  return new Promise((resolve, reject) => {
    algorithm(message, { maxOutputLength: maxBytes }, (error, plain) => {
      if (error === null) resolve(plain);
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        reject(tooLarge(maxBytes + 1, maxBytes));
      else
        reject(new EtcdError(grpcCode.internal, `grpc: failed to decompress the message: ${error.message}`));
    });
  });
}
