import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Clock } from '@cloudless/kube/clock';
import { errors } from '@cloudless/kube/status';

/** Upstream's limit of a request body (apiserver/pkg/server/config.go, MaxRequestBodyBytes). */
export const maxBodyBytes = 3 * 1024 * 1024;

const tooLarge = () => errors.tooLarge(`Request body too large: limit is ${maxBodyBytes}`);

/**
 * Reads a body whole. Throws 413 over the limit (counted after decompression, too), 400 when it breaks off; the rest
 * of a refused body flows by unread, so that the answer gets through. `timeoutMs`: for the whole body.
 */
export async function readBody(
  request: IncomingMessage | Http2ServerRequest,
  clock: Clock,
  timeoutMs: number,
): Promise<Buffer> {
  const refuse = (error: Error): never => {
    request.resume();
    throw error;
  };
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) refuse(tooLarge());
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return await collect(request, { from: request, clock, timeoutMs });
  if (encoding !== 'gzip') {
    refuse(
      errors.unsupportedMediaType(
        `content encoding ${JSON.stringify(encoding)} is not supported; use gzip or none`,
      ),
    );
  }
  const unzipped = request.pipe(createGunzip());
  try {
    return await collect(unzipped, { from: request, clock, timeoutMs });
  } finally {
    request.unpipe(unzipped);
    request.resume();
    unzipped.destroy();
  }
}

/** `from`: the request that `source` reads; it closes when its client leaves. */
function collect(
  source: Readable,
  { from, clock, timeoutMs }: { from: Readable; clock: Clock; timeoutMs: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (done: () => void): void => {
      timer.cancel();
      source.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
      from.off('close', onGone);
      // Errors of what is not read any more concern nobody.
      source.on('error', () => {});
      done();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= maxBodyBytes) return void chunks.push(chunk);
      source.resume();
      settle(() => reject(tooLarge()));
    };
    const onEnd = (): void =>
      settle(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
    const brokeOff = (why: string): void =>
      settle(() => reject(errors.badRequest(`the body of the request broke off: ${why}`)));
    const onError = (error: Error): void => brokeOff(error.message);
    const onClose = (): void => brokeOff('the connection closed');
    // A pipe does not pass on that its source ended early.
    const onGone = (): void => {
      if (!from.readableEnded) onClose();
    };
    const timer = clock.setTimeout(() => brokeOff(`it did not end within ${timeoutMs / 1_000} s`), timeoutMs);
    source.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
    if (from !== source) from.on('close', onGone);
  });
}
