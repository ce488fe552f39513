import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { createGunzip } from 'node:zlib';
import type { Clock } from '@cloudless/kube/clock';
import { errors } from '@cloudless/kube/status';

/** Upstream's limit of a request body (apiserver/pkg/server/config.go, MaxRequestBodyBytes). */
export const maxBodyBytes = 3 * 1024 * 1024;

/** How long a client may take to send a body (upstream's `--request-timeout`). */
const bodyTimeoutMs = 60_000;

const tooLarge = () => errors.tooLarge(`Request body too large: limit is ${maxBodyBytes}`);

/**
 * Reads a body whole. Throws 413 over the limit (counted after decompression, too) and lets the rest flow by, so
 * that the answer gets through.
 */
export async function readBody(request: IncomingMessage | Http2ServerRequest, clock: Clock): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > maxBodyBytes) {
    request.resume();
    throw tooLarge();
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity') {
    request.resume();
    throw errors.unsupportedMediaType(
      `content encoding ${JSON.stringify(encoding)} is not supported; use gzip or none`,
    );
  }
  const source = encoding === 'gzip' ? request.pipe(createGunzip()) : request;
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = clock.setTimeout(
    () => source.destroy(new Error(`it did not end within ${bodyTimeoutMs / 1_000} s`)),
    bodyTimeoutMs,
  );
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBodyBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw errors.badRequest(
      `the body of the request broke off: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  } finally {
    timer.cancel();
  }
  if (size > maxBodyBytes) throw tooLarge();
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size);
}
