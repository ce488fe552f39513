import { randomInt } from 'node:crypto';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { readRecords, type ResourceRecord } from '../wire/message.ts';
import { rrType, writeName } from '../wire/name.ts';
import { askTcp, askUdp } from './exchange.ts';
import type { Upstream } from './upstreams.ts';

/** No upstream server answered, or too many questions wait already; the client gets SERVFAIL. */
export class ForwardError extends Error {
  override readonly name = 'ForwardError';
}

/**
 * Questions under way at once. Each has a socket, so that the port is another one each time (RFC 5452): a flood of
 * questions must not use up the process's file descriptors (1,024 by default).
 */
export const outstandingLimit = 512;
/** A server that gave no answer is asked last for this long. */
const silentMs = 10_000;

export interface Forwarder extends Running {
  /** Questions under way. */
  readonly outstanding: number;
  /**
   * Sends a query on as it came, with an id and a source port of its own, to one server after the other; resolves to
   * the answer with the client's id. By UDP a truncated answer is handed on: the client asks again by TCP. Rejects
   * with {@link ForwardError}.
   */
  forward(query: Buffer, upstreams: readonly Upstream[], transport: 'udp' | 'tcp'): Promise<Buffer>;
  /** Asks for the records of a name outside the cluster, with the aliases on the way. Rejects with any error. */
  resolve(name: string, type: number, upstreams: readonly Upstream[]): Promise<ResourceRecord[]>;
}

const keyOf = ({ host, port }: Upstream): string => `${host} ${port}`;

/** Starts a forwarder; stopping it rejects what is under way. */
export function startForwarder(): Forwarder {
  const ended = new AbortController();
  const silentUntil = new Map<string, number>();
  let outstanding = 0;
  const underWay = new Set<Promise<unknown>>();

  const askOne = async (query: Buffer, upstream: Upstream, transport: 'udp' | 'tcp'): Promise<Buffer> => {
    const outgoing = Buffer.from(query);
    outgoing.writeUInt16BE(randomInt(0x10000), 0);
    const answer = await (transport === 'udp' ? askUdp : askTcp)(outgoing, upstream, ended.signal);
    query.copy(answer, 0, 0, 2);
    return answer;
  };
  const askAll = async (
    query: Buffer,
    upstreams: readonly Upstream[],
    transport: 'udp' | 'tcp',
  ): Promise<Buffer> => {
    const nowMs = performance.now();
    const isSilent = (upstream: Upstream): boolean => (silentUntil.get(keyOf(upstream)) ?? 0) > nowMs;
    const failures: string[] = [];
    for (const upstream of [
      ...upstreams.filter((candidate) => !isSilent(candidate)),
      ...upstreams.filter(isSilent),
    ]) {
      if (ended.signal.aborted) break;
      try {
        const answer = await askOne(query, upstream, transport);
        silentUntil.delete(keyOf(upstream));
        return answer;
      } catch (error) {
        silentUntil.set(keyOf(upstream), performance.now() + silentMs);
        failures.push(`${upstream.host}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new ForwardError(
      failures.length === 0 ? 'no upstream DNS server is configured' : failures.join('; '),
    );
  };
  const forward: Forwarder['forward'] = async (query, upstreams, transport) => {
    if (outstanding >= outstandingLimit)
      throw new ForwardError(`${outstandingLimit} questions wait for upstream servers already`);
    outstanding += 1;
    const work = askAll(query, upstreams, transport);
    underWay.add(work);
    try {
      return await work;
    } finally {
      outstanding -= 1;
      underWay.delete(work);
    }
  };
  return {
    get outstanding() {
      return outstanding;
    },
    forward,
    async resolve(name, type, upstreams) {
      const query = questionFor(name, type);
      let answer = await forward(query, upstreams, 'udp');
      const truncated = (answer.readUInt16BE(2) & 0x0200) !== 0;
      if (truncated) answer = await forward(query, upstreams, 'tcp');
      return readRecords(answer).filter((record) => record.type === type || record.type === rrType.CNAME);
    },
    ...running(async () => {
      ended.abort();
      await Promise.allSettled(underWay);
    }),
  };
}

/** A query for one name, recursion desired. */
function questionFor(name: string, type: number): Buffer {
  const header = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(1, 2);
  return Buffer.concat([header, writeName(name), tail]);
}
