import { createSocket, type Socket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import type { ResourceRecord } from '../wire/message.ts';
import { readName, rrType, writeName } from '../wire/name.ts';

/** No upstream server answered; the client gets SERVFAIL. */
export class ForwardError extends Error {
  override readonly name = 'ForwardError';
}

export interface Upstream {
  host: string;
  port: number;
}

/** The `nameserver` lines of a resolv.conf, without those that would lead back to this server. */
export function readUpstreams(resolvConf: string, own: ReadonlySet<string>): Upstream[] {
  let text: string;
  try {
    text = readFileSync(resolvConf, 'utf8');
  } catch {
    return [];
  }
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)]
    .map((match) => ({ host: match[1] as string, port: 53 }))
    .filter((upstream) => !own.has(upstream.host));
}

const attemptMs = 2000;

/**
 * Sends a query on as it came, with an id and a source port of its own (RFC 5452), to one upstream after the other;
 * resolves to the answer with the client's id. Truncated answers are asked again by TCP when the client came by TCP.
 */
export async function forward(
  query: Buffer,
  upstreams: readonly Upstream[],
  transport: 'udp' | 'tcp',
  signal?: AbortSignal,
): Promise<Buffer> {
  const failures: string[] = [];
  for (const upstream of upstreams) {
    signal?.throwIfAborted();
    const outgoing = Buffer.from(query);
    outgoing.writeUInt16BE(randomInt(0x10000), 0);
    try {
      const answer = await (transport === 'udp' ? askUdp(outgoing, upstream) : askTcp(outgoing, upstream));
      query.copy(answer, 0, 0, 2);
      return answer;
    } catch (error) {
      failures.push(`${upstream.host}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new ForwardError(
    failures.length === 0 ? 'no upstream DNS server is configured' : failures.join('; '),
  );
}

/** An answer counts only when its id and question are the query's. */
function matches(query: Buffer, answer: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if ((answer.readUInt16BE(2) & 0x8000) === 0 || answer.readUInt16BE(4) !== 1) return false;
  try {
    const asked = readName(query, 12);
    const answered = readName(answer, 12);
    return (
      asked.name.toLowerCase() === answered.name.toLowerCase() &&
      query.readUInt32BE(asked.end) === answer.readUInt32BE(answered.end)
    );
  } catch {
    return false;
  }
}

function askUdp(query: Buffer, upstream: Upstream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createSocket(upstream.host.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => finish(new Error(`no answer in ${attemptMs} ms`)), attemptMs);
    const finish = (error: Error | undefined, answer?: Buffer): void => {
      clearTimeout(timer);
      socket.close();
      if (answer) resolve(answer);
      else reject(error ?? new Error('no answer'));
    };
    socket.once('error', (error) => finish(error));
    socket.on('message', (answer) => {
      if (matches(query, answer)) finish(undefined, Buffer.from(answer));
    });
    // Connected: answers from anyone else are dropped by the kernel, and refusals are errors at once.
    socket.connect(upstream.port, upstream.host, () => socket.send(query));
  });
}

function askTcp(query: Buffer, upstream: Upstream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(upstream.port, upstream.host);
    let received: Buffer = Buffer.alloc(0);
    socket.setTimeout(attemptMs, () => socket.destroy(new Error(`no answer in ${attemptMs} ms`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('connection closed before an answer')));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = Buffer.from(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (matches(query, answer)) resolve(answer);
      else reject(new Error('the answer does not belong to the question'));
      socket.destroy();
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
}

/** Asks for the addresses of a name outside the cluster, for an ExternalName Service: A or AAAA, and CNAMEs on the way. */
export async function resolveOutside(
  name: string,
  type: number,
  upstreams: readonly Upstream[],
): Promise<ResourceRecord[]> {
  const header = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(1, 2);
  const answer = await forward(Buffer.concat([header, writeName(name), tail]), upstreams, 'udp');
  const records: ResourceRecord[] = [];
  let position = readName(answer, 12).end + 4;
  for (let i = 0; i < answer.readUInt16BE(6); i++) {
    const owner = readName(answer, position);
    const rr = answer.readUInt16BE(owner.end);
    const start = owner.end + 10;
    const end = start + answer.readUInt16BE(owner.end + 8);
    const ttlSeconds = answer.readUInt32BE(owner.end + 4);
    if (rr === rrType.CNAME)
      records.push({ name: owner.name, type: rr, ttlSeconds, data: writeName(readName(answer, start).name) });
    else if (rr === type)
      records.push({
        name: owner.name,
        type: rr,
        ttlSeconds,
        data: Buffer.from(answer.subarray(start, end)),
      });
    position = end;
  }
  return records;
}
