import type { Request } from '../server/request.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { lowerName } from '../wire/name.ts';
import { extendedError, rcode, rrClass, rrType } from '../wire/types.ts';
import { soaSerial } from '../zone/build.ts';
import type { ServedZone } from '../zone/zones.ts';
import { batched, changesSince, type OutgoingTransfer, wholeZone } from './outgoing.ts';
import { isPermitted } from './permission.ts';
import type { RequestHandlerOptions } from './request-handler.ts';
import type { Reply, VerifiedRequest } from './verified-request.ts';

/** Transfers at a time, in all and to one address; beyond that: SERVFAIL, and secondaries come again. */
const transfersAtOnce = 50;
const transfersPerAddress = 20;

/** Counts the transfers that are under way. */
export class TransferQuota {
  #all = 0;
  readonly #byAddress = new Map<string, number>();

  /** Undefined: there are too many. Else the function that gives the place back, once. */
  take(address: string): (() => void) | undefined {
    const own = this.#byAddress.get(address) ?? 0;
    if (this.#all >= transfersAtOnce || own >= transfersPerAddress) return undefined;
    this.#all += 1;
    this.#byAddress.set(address, own + 1);
    return () => {
      this.#all -= 1;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    };
  }
}

/**
 * Answers AXFR (RFC 5936) and IXFR (RFC 1995). A transfer stays on the version of the zone that it began with. Over UDP an
 * IXFR is answered whole or with one SOA, which sends the secondary to TCP; an AXFR is FORMERR there, as in BIND.
 */
export async function* answerTransfer(
  request: Request,
  verified: VerifiedRequest,
  options: RequestHandlerOptions,
  quota: TransferQuota,
): AsyncGenerator<Buffer> {
  const chosen = await chooseTransfer(verified, options);
  if (!('transfer' in chosen)) {
    yield verified.reply(chosen);
    return;
  }
  const { transfer, served } = chosen;
  if (request.peer.transport === 'udp') {
    yield inOneMessage(verified, transfer, served);
    return;
  }
  const giveBack = quota.take(request.peer.address);
  if (!giveBack) {
    const text = 'too many transfers are under way: try again';
    yield verified.reply({ rcode: rcode.servFail, reason: { code: extendedError.notReady, text } });
    return;
  }
  try {
    yield* allMessages(request, verified, transfer, options, served);
  } finally {
    giveBack();
  }
}

async function* allMessages(
  { peer, signal }: Request,
  verified: VerifiedRequest,
  transfer: OutgoingTransfer,
  { log, clock }: RequestHandlerOptions,
  served: ServedZone,
): AsyncGenerator<Buffer> {
  const startedMs = clock.monotonicMs();
  const about = {
    zone: served.zone.origin,
    serial: served.zone.serial,
    to: peer.address,
    kind: transfer.kind,
  };
  let records = 0;
  for (const answers of batched(transfer.records)) {
    if (signal.aborted) {
      log.info({ ...about, records }, 'a transfer was broken off by the secondary');
      return;
    }
    yield verified.reply({ authoritative: true, answers });
    records += answers.length;
  }
  const tookMs = Math.round(clock.monotonicMs() - startedMs);
  if (transfer.kind !== 'current') log.info({ ...about, records, tookMs }, 'a zone was transferred');
}

function inOneMessage(verified: VerifiedRequest, transfer: OutgoingTransfer, { zone }: ServedZone): Buffer {
  const answers: ResourceRecord[] = [];
  let bytes = 0;
  for (const record of transfer.records) {
    answers.push(record);
    // Compression never makes a record shorter than this: enough to stop before a large zone is walked.
    bytes += 12 + Math.min(record.data.length, 2);
    if (bytes > verified.maxBytes) break;
  }
  const written = verified.write({ authoritative: true, answers });
  const isTruncated = ((written[2] as number) & 0x02) !== 0;
  if (!isTruncated) return verified.sign(written);
  const [soa] = zone.soa.data as readonly [Buffer];
  const record = { name: zone.soa.name, type: rrType.SOA, ttlSeconds: zone.soa.ttlSeconds, data: soa };
  return verified.reply({ authoritative: true, answers: [record] });
}

/** The transfer, or the answer that says why there is none. */
async function chooseTransfer(
  verified: VerifiedRequest,
  options: RequestHandlerOptions,
): Promise<{ transfer: OutgoingTransfer; served: ServedZone } | Reply> {
  const { message, peer, asker } = verified;
  const [question] = message.questions as [{ name: string; type: number; class: number }];
  const origin = lowerName(question.name);
  const refuse = (code: number, infoCode: number, text: string): Reply => {
    options.log.info({ zone: origin, from: peer.address, key: asker.key }, `a transfer is refused: ${text}`);
    return { rcode: code, reason: { code: infoCode, text } };
  };
  if (message.edns && message.edns.version > 0) return { rcode: rcode.badVers };
  if (!isPermitted(options.config().transfers.allow, asker, origin)) {
    const who = asker.key === undefined ? `${peer.address}, without a TSIG key,` : `key ${asker.key}`;
    return refuse(rcode.refused, extendedError.prohibited, `${who} may not transfer ${origin}.`);
  }
  const served = question.class === rrClass.IN ? options.zones.all.get(origin) : undefined;
  if (!served)
    return refuse(rcode.notAuth, extendedError.notAuthoritative, `${origin}. is no zone of this server`);
  if (served.isExpired) return refuse(rcode.servFail, extendedError.notReady, `${origin}. has expired here`);
  if (question.type === rrType.AXFR) {
    if (peer.transport === 'udp')
      return refuse(rcode.formErr, extendedError.notSupported, 'AXFR needs TCP (RFC 5936)');
    return { transfer: wholeZone(await signedZone(served, options)), served };
  }
  const held = message.authorities.find(({ type }) => type === rrType.SOA);
  if (!held || lowerName(held.name) !== origin || held.data.length < 20)
    return refuse(rcode.formErr, extendedError.other, 'an IXFR has the SOA of the version that is held');
  return { transfer: await changesFor(served, soaSerial(held.data), options), served };
}

/**
 * A signed zone goes out whole: its signatures are made by each replica for itself, so that a difference made here would not
 * fit a version that another one sent (RFC 1995 section 4 allows that).
 */
async function changesFor(
  served: ServedZone,
  fromSerial: number,
  options: RequestHandlerOptions,
): Promise<OutgoingTransfer> {
  const { zone, history } = served;
  if (!served.signing || !options.signZone) return changesSince(zone, history, fromSerial);
  const unsigned = changesSince(zone, [], fromSerial);
  return unsigned.kind === 'current' ? unsigned : wholeZone(await signedZone(served, options));
}

async function signedZone(
  served: ServedZone,
  { signZone }: RequestHandlerOptions,
): Promise<ServedZone['zone']> {
  return served.signing && signZone ? await signZone(served) : served.zone;
}
