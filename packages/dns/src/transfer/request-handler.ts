import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { answerQuestion } from '../authoritative/answer.ts';
import type { AnswerSigner } from '../authoritative/signer.ts';
import type { TableZone } from '../authoritative/zone-table.ts';
import type { ExternalDnsConfig } from '../external/config.ts';
import type { Request, RequestHandler } from '../server/request.ts';
import type { RecordKeeper } from '../update/change.ts';
import { formErrFor } from '../wire/message.ts';
import { WireError } from '../wire/name.ts';
import { opcode, rcode, rrClass, rrType } from '../wire/types.ts';
import type { Zone } from '../zone/zone.ts';
import type { ServedZone, Zones } from '../zone/zones.ts';
import { answerNotify } from './notify-in.ts';
import { VerifiedRequest } from './verified-request.ts';
import { answerTransfer, TransferQuota } from './transfer-out.ts';
import { tsigErrorName } from './tsig.ts';
import { UpdateQueue } from './update-queue.ts';

export interface RequestHandlerOptions {
  readonly zones: Zones;
  /** What is in force now; asked for each request. */
  readonly config: () => Pick<ExternalDnsConfig, 'transfers' | 'updates' | 'tsigKeys' | 'secondaries'>;
  /** Where records of updates are kept; none: updates are refused. */
  readonly keeper?: RecordKeeper | undefined;
  /** A primary of a secondary zone says that the zone has changed. */
  notified(origin: string, from: string): void;
  /** The zone with its signatures and denial, for transfers; none: zones go out unsigned. */
  readonly signZone?: ((served: ServedZone) => Zone | Promise<Zone>) | undefined;
  /** Signs answers of a zone that is served with signatures; none: they go out without. */
  readonly signerOf?: ((served: ServedZone) => AnswerSigner | undefined) | undefined;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * Answers what serving threads do not: AXFR, IXFR, NOTIFY, UPDATE and everything signed. Nothing is done for a message
 * whose signature is bad, and nothing for anybody whom the configuration does not name.
 */
export function createRequestHandler(options: RequestHandlerOptions): RequestHandler {
  const quota = new TransferQuota();
  const updates = new UpdateQueue(options);
  const { config, clock, log } = options;
  return (request) => {
    let verified: VerifiedRequest;
    try {
      verified = VerifiedRequest.open(request.message, config().tsigKeys, request.peer, clock);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return Promise.resolve(formErrFor(request.message));
    }
    const { message, signature } = verified;
    if (message.isResponse) return Promise.resolve(undefined);
    if (signature.kind === 'bad') {
      const about = { from: request.peer.address, key: signature.record.keyName };
      log.warn(about, `a request is not signed as it should be: ${tsigErrorName(signature.error)}`);
      return Promise.resolve(verified.replyToBadSignature(signature));
    }
    return dispatch(request, verified);
  };

  function dispatch(request: Request, verified: VerifiedRequest): ReturnType<RequestHandler> {
    switch (verified.message.opcode) {
      case opcode.query:
        return isTransfer(verified)
          ? answerTransfer(request, verified, options, quota)
          : Promise.resolve(answerSigned(verified, options));
      case opcode.notify:
        return Promise.resolve(answerNotify(verified, options));
      case opcode.update:
        return updates.answer(request, verified);
      default:
        return Promise.resolve(verified.reply({ rcode: rcode.notImp }));
    }
  }
}

function isTransfer({ message }: VerifiedRequest): boolean {
  const type = message.questions[0]?.type;
  return message.questions.length === 1 && (type === rrType.AXFR || type === rrType.IXFR);
}

/** An ordinary question with a good signature: the answer of everybody, signed. */
function answerSigned(verified: VerifiedRequest, { zones, signerOf }: RequestHandlerOptions): Buffer {
  const { message } = verified;
  const [question] = message.questions;
  if (!question || message.questions.length !== 1) return verified.reply({ rcode: rcode.formErr });
  if (message.edns && message.edns.version > 0) return verified.reply({ rcode: rcode.badVers });
  if (question.class !== rrClass.IN) return verified.reply({ rcode: rcode.refused });
  const find = (name: string): TableZone | undefined => {
    const served = zones.find(name);
    return served && { ...served, signer: served.signing && signerOf?.(served) };
  };
  const { dnssecOk = false, compactOk = false } = message.edns ?? {};
  const asked = { ...question, dnssecOk, compactOk };
  const { requiredAdditionals, ...answer } = answerQuestion({ find }, asked);
  const written = verified.write(answer);
  // A referral is not whole without its glue (RFC 9471).
  const additionals = written.readUInt16BE(10) - (message.edns ? 1 : 0);
  if (additionals < requiredAdditionals) written[2] = (written[2] as number) | 0x02;
  return verified.sign(written);
}
