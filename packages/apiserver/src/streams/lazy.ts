import { lazily } from '@cloudless/kube/lazy';
import type { StreamsOptions } from './create.ts';
import type { Streams } from './streams.ts';

/**
 * {@link Streams} whose code is loaded with the first log or exec: with WebSockets and Node's HTTP/1.1 client it is a
 * good part of what a server loads, and no start waits for it.
 */
export function lazyStreams(options: StreamsOptions): Streams {
  const load = lazily(async () => (await import('./create.ts')).createStreams(options));
  return {
    respond: async (...request) => (await load()).respond(...request),
    upgrade: async (...request) => (await load()).upgrade(...request),
  };
}
