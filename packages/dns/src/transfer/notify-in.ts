import { lowerName } from '../wire/name.ts';
import { extendedError, rcode, rrClass, rrType } from '../wire/types.ts';
import type { RequestHandlerOptions } from './request-handler.ts';
import type { VerifiedRequest } from './verified-request.ts';

/**
 * Answers a NOTIFY (RFC 1996). It counts when it comes from the address of one of the zone's primaries; signed or not, for
 * all that follows is a question to that primary, and that is signed.
 */
export function answerNotify(verified: VerifiedRequest, options: RequestHandlerOptions): Buffer {
  const { message, peer } = verified;
  const [question] = message.questions;
  if (
    !question ||
    message.questions.length !== 1 ||
    question.type !== rrType.SOA ||
    question.class !== rrClass.IN
  )
    return verified.reply({ rcode: rcode.formErr });
  const origin = lowerName(question.name);
  const secondary = options.config().secondaries.get(origin);
  if (!secondary) {
    const text = options.zones.all.has(origin)
      ? `${origin}. is a primary zone here: nobody tells it that it has changed`
      : `${origin}. is no zone of this server`;
    options.log.info({ zone: origin, from: peer.address }, `a NOTIFY is not for us: ${text}`);
    return verified.reply({ rcode: rcode.notAuth, reason: { code: extendedError.notAuthoritative, text } });
  }
  if (!secondary.primaries.some(({ address }) => address === peer.address)) {
    const text = `${peer.address} is no primary of ${origin}.`;
    options.log.warn({ zone: origin, from: peer.address }, `a NOTIFY is refused: ${text}`);
    return verified.reply({ rcode: rcode.refused, reason: { code: extendedError.prohibited, text } });
  }
  options.notified(origin, peer.address);
  return verified.reply({ rcode: rcode.noError, authoritative: true });
}
