import type { Clock } from '@cloudless/kube/clock';
import { recordsOf } from '../zone/rrset.ts';
import type { Zone } from '../zone/zone.ts';
import { type Message, parseMessage } from '../wire/message.ts';
import { lowerName } from '../wire/name.ts';
import { rcode, rcodeName, rrClass, rrType } from '../wire/types.ts';
import { soaSerial } from '../zone/build.ts';
import { ask, keyOf, signedRequest } from './ask.ts';
import { IncomingTransfer, TransferError, type TransferResult } from './incoming.ts';
import type { Remote, TsigKey } from './keys.ts';
import { messageStream } from './message-stream.ts';

/** What a zone held for others may take; a primary that sends more is broken off. */
export interface TransferLimits {
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** For the connection to stand, and between two messages. */
  readonly idleMs: number;
  /** For the whole transfer. */
  readonly totalMs: number;
}

export interface FetchContext {
  readonly keys: readonly TsigKey[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly limits: TransferLimits;
}

/** The primary said no in DNS's own way. */
export class PrimaryRefusedError extends TransferError {
  readonly rcode: number;
  constructor(code: number) {
    super(`it answers ${rcodeName(code)}`);
    this.rcode = code;
  }
}

/**
 * The serial of a zone at its primary: over UDP, and over TCP when that is silent or truncated. Rejects when the primary does
 * not answer, is no authority for the zone, or its answer is not signed as it must be.
 */
export async function askSerial(origin: string, primary: Remote, context: FetchContext): Promise<number> {
  const query = { questions: [{ name: origin, type: rrType.SOA, class: rrClass.IN }] };
  let answer: Message;
  try {
    answer = await ask(query, primary, 'udp', context);
    if (answer.truncated) answer = await ask(query, primary, 'tcp', context);
  } catch (error) {
    context.signal.throwIfAborted();
    // A signature that is wrong is not made better by another transport.
    if (!(error instanceof Error) || error.name === 'TsigError') throw error;
    answer = await ask(query, primary, 'tcp', context);
  }
  if (answer.rcode !== rcode.noError) throw new PrimaryRefusedError(answer.rcode);
  if (!answer.authoritative) throw new TransferError(`it is no authority for ${origin}.`);
  const soa = answer.answers.find(({ name, type }) => type === rrType.SOA && lowerName(name) === origin);
  if (!soa || soa.data.length < 22) throw new TransferError(`it has no SOA for ${origin}.`);
  return soaSerial(soa.data);
}

/**
 * Transfers a zone over TCP: by IXFR from the version `held`, by AXFR without one. Resolves with the zone whole, its
 * signatures verified to the last message, or rejects.
 */
export async function fetchZone(
  origin: string,
  held: Zone | undefined,
  primary: Remote,
  context: FetchContext,
): Promise<TransferResult> {
  const { keys, clock, signal, limits } = context;
  const query = {
    questions: [{ name: origin, type: held ? rrType.IXFR : rrType.AXFR, class: rrClass.IN }],
    authorities: held ? recordsOf(held.soa) : [],
  };
  const request = signedRequest(query, keyOf(primary, keys), clock);
  const transfer = new IncomingTransfer({ origin, held, maxRecords: limits.maxRecords });
  const { address: host, port } = primary;
  let isFirst = true;
  for await (const bytes of messageStream(request.bytes, { host, port, signal, ...limits })) {
    const message = parseMessage(request.verifier?.accept(bytes) ?? bytes);
    checkMessage(message, request.id, origin, query.questions[0]?.type as number, isFirst);
    isFirst = false;
    transfer.accept(message.answers);
    if (transfer.isDone) break;
  }
  request.verifier?.finish();
  return transfer.result();
}

/** RFC 5936 section 2.2: later messages may leave the question out. */
function checkMessage(message: Message, id: number, origin: string, type: number, isFirst: boolean): void {
  if (!message.isResponse || message.id !== id) throw new TransferError('it answers another question');
  if (message.rcode !== rcode.noError) throw new PrimaryRefusedError(message.rcode);
  const [question] = message.questions;
  const isOurs = question && lowerName(question.name) === origin && question.type === type;
  if (isFirst ? !isOurs && message.questions.length > 0 : question && !isOurs)
    throw new TransferError('it answers another question');
  if (message.truncated) throw new TransferError('it truncates a message of a transfer');
  if (message.answers.length === 0) throw new TransferError('it sends a message without records');
}
