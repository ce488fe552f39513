import { ForwardError, type Forwarder } from '../forward/forwarder.ts';
import type { Upstream } from '../forward/upstreams.ts';
import {
  type Answer,
  ednsUdpSize,
  formErrFor,
  parseQuery,
  type Query,
  type ResourceRecord,
  writeAnswer,
} from '../wire/message.ts';
import { classIn, rcode, readName, rrType, WireError } from '../wire/name.ts';
import type { ClusterRecords } from './records.ts';

export interface ResolverOptions {
  records: ClusterRecords;
  forwarder: Pick<Forwarder, 'forward' | 'resolve'>;
  /** Read anew for each query, so that a changed resolv.conf counts. */
  upstreams(): readonly Upstream[];
  /** Nothing is said about the cluster's names before the first full sync: a restart never answers NXDOMAIN for a name that exists. */
  isSynced(): boolean;
  /** A mistake in this program; the client gets SERVFAIL. */
  onError?(error: unknown): void;
  onAnswer?(code: number, source: 'cluster' | 'forward', tookMs: number): void;
}

const empty: Answer = {
  rcode: rcode.noError,
  authoritative: false,
  recursionAvailable: true,
  answers: [],
  authorities: [],
  additionals: [],
};

/** Answers one message; undefined: say nothing (it is no query at all). Never rejects. */
export async function answerQuery(
  message: Buffer,
  transport: 'udp' | 'tcp',
  options: ResolverOptions,
): Promise<Buffer | undefined> {
  const startedMs = performance.now();
  let query: Query;
  try {
    query = parseQuery(message);
  } catch (error) {
    if (error instanceof WireError) return formErrFor(message);
    throw error;
  }
  const maxBytes = transport === 'tcp' ? 65535 : query.edns ? Math.min(query.edns.udpSize, ednsUdpSize) : 512;
  const reply = (answer: Partial<Answer>): Buffer => writeAnswer(query, { ...empty, ...answer }, maxBytes);
  if (query.opcode !== 0) return reply({ rcode: rcode.notImp });
  if (query.edns && query.edns.version !== 0) return reply({ rcode: rcode.badVers });
  if (query.question.class !== classIn) return reply({ rcode: rcode.refused });
  if (query.question.type === rrType.AXFR || query.question.type === rrType.IXFR)
    return reply({ rcode: rcode.refused });
  const name = query.question.name.toLowerCase();
  const local = options.records.lookup(name);
  if (local !== undefined || options.records.owns(name)) {
    const answer = await answerLocally(name, query, local, options).catch((error: unknown) => {
      options.onError?.(error);
      return { ...empty, rcode: rcode.servFail };
    });
    options.onAnswer?.(answer.rcode, 'cluster', performance.now() - startedMs);
    return reply(answer);
  }
  try {
    const answer = await options.forwarder.forward(message, options.upstreams(), transport);
    options.onAnswer?.(answer.readUInt16BE(2) & 0xf, 'forward', performance.now() - startedMs);
    return answer;
  } catch (error) {
    if (!(error instanceof ForwardError)) options.onError?.(error);
    options.onAnswer?.(rcode.servFail, 'forward', performance.now() - startedMs);
    return reply({ rcode: rcode.servFail });
  }
}

async function answerLocally(
  name: string,
  query: Query,
  records: ResourceRecord[] | undefined,
  options: ResolverOptions,
): Promise<Answer> {
  if (!options.isSynced()) return { ...empty, rcode: rcode.servFail };
  const negative = { ...empty, authoritative: true, authorities: [options.records.soa()] };
  if (records === undefined) return { ...negative, rcode: rcode.nxDomain };
  const { type } = query.question;
  const own = type === rrType.SOA && name === options.records.domain ? [options.records.soa()] : records;
  const direct = own.filter((record) => record.type === type || type === rrType.ANY);
  if (direct.length > 0)
    return {
      ...empty,
      authoritative: true,
      answers: shuffled(direct),
      additionals: glueFor(direct, options.records),
    };
  const alias = own.find((record) => record.type === rrType.CNAME);
  if (!alias) return negative;
  return { ...empty, authoritative: true, answers: [alias, ...(await follow(alias, type, options))] };
}

/** What an alias leads to: names of the cluster from memory, others from upstream. */
async function follow(
  alias: ResourceRecord,
  type: number,
  options: ResolverOptions,
): Promise<ResourceRecord[]> {
  const target = readName(alias.data, 0).name.toLowerCase();
  const local = options.records.lookup(target);
  if (local) return local.filter((record) => record.type === type);
  if (options.records.owns(target)) return [];
  try {
    return await options.forwarder.resolve(target, type, options.upstreams());
  } catch {
    // The alias alone is a true answer; the client may ask on by itself.
    return [];
  }
}

/** Addresses of SRV targets. */
function glueFor(records: readonly ResourceRecord[], all: ClusterRecords): ResourceRecord[] {
  const targets = new Set(
    records
      .filter((record) => record.type === rrType.SRV)
      .map((record) => readName(record.data, 6).name.toLowerCase()),
  );
  return [...targets].flatMap((target) =>
    (all.lookup(target) ?? []).filter((record) => record.type === rrType.A || record.type === rrType.AAAA),
  );
}

/** Clients mostly take the first address: a random order spreads them over a headless Service's pods. */
function shuffled(records: ResourceRecord[]): ResourceRecord[] {
  const list = [...records];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as ResourceRecord, list[i] as ResourceRecord];
  }
  return list;
}
