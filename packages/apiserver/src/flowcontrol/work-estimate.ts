import type { RequestInfo } from '../request/info.ts';

/** Upstream: request/config.go. */
const objectsPerSeat = 100;

/**
 * Seats that a request asks for: a list, or a watch that begins with what exists, takes one for each hundred objects
 * that it looks at (upstream: listWorkEstimator). `stored` tells how many objects of the resource there are.
 */
export function workEstimate(
  info: RequestInfo,
  query: URLSearchParams,
  stored: (info: RequestInfo) => number,
): number {
  const { verb } = info;
  if ((verb !== 'list' && verb !== 'watch') || info.name !== '') return 1;
  if (verb === 'watch' && query.get('sendInitialEvents') !== 'true') {
    const since = query.get('resourceVersion');
    if (since !== null && since !== '' && since !== '0') return 1;
  }
  const count = stored(info);
  if (count <= objectsPerSeat) return 1;
  const limit = Number(query.get('limit') ?? 0);
  // Selectors look at what they leave out, too.
  const isPart = limit > 0 && !query.has('labelSelector') && !query.has('fieldSelector');
  return Math.ceil((isPart ? Math.min(limit, count) : count) / objectsPerSeat);
}
