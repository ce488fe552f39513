/** What a chunk of a list needs, and an object of usual size on top. */
const pooledBytes = 320 * 1024;
/** Enough for a few lists that are written at the same time. */
const maxIdle = 8;
const idle: ArrayBuffer[] = [];
const lent = new WeakSet<ArrayBufferLike>();

/**
 * Memory for one chunk of a long list. Memory outside of the heap that is thrown away at megabytes a second has the
 * collector look through the whole heap again and again: so {@link giveBackChunk} it once it is written. Who does not,
 * leaves it to the collector.
 */
export function takeChunk(bytes: number): Buffer {
  if (bytes > pooledBytes) return Buffer.allocUnsafeSlow(bytes);
  const memory = idle.pop() ?? Buffer.allocUnsafeSlow(pooledBytes).buffer;
  lent.add(memory);
  return Buffer.from(memory, 0, bytes);
}

/** Takes back what {@link takeChunk} gave, or a part of it; nobody looks at it any more. Other chunks are let be. */
export function giveBackChunk(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (lent.delete(buffer) && idle.length < maxIdle) idle.push(buffer as ArrayBuffer);
}
