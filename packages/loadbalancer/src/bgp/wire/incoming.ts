import { type Frame, messageType } from './frame.ts';
import { type Notification, decodeNotification } from './notification.ts';
import { type Open, decodeOpen } from './open.ts';
import { type ParsedUpdate, parseUpdate } from './parse-update.ts';
import { type Family, familyOf } from './prefix.ts';

/** A received message, decoded and checked by itself. */
export type Incoming =
  | { readonly type: 'open'; readonly open: Open }
  | { readonly type: 'update'; readonly update: ParsedUpdate }
  | { readonly type: 'notification'; readonly notification: Notification }
  | { readonly type: 'keepalive' }
  /** `family` is undefined for one that is not spoken. */
  | { readonly type: 'route-refresh'; readonly family: Family | undefined };

/**
 * Decodes one message of a peer. Throws {@link BgpError} with the NOTIFICATION that it is due.
 * `fourOctetAsn`: both OPENs had the capability, so an AS_PATH has numbers of four octets.
 */
export function parseIncoming({ type, body }: Frame, fourOctetAsn: boolean): Incoming {
  switch (type) {
    case messageType.open:
      return { type: 'open', open: decodeOpen(body) };
    case messageType.update:
      return { type: 'update', update: parseUpdate(body, fourOctetAsn) };
    case messageType.notification:
      return { type: 'notification', notification: decodeNotification(body) };
    case messageType.keepalive:
      return { type: 'keepalive' };
    case messageType.routeRefresh:
      // AFI, a reserved octet (RFC 7313's subtype), SAFI.
      return { type: 'route-refresh', family: familyOf(body.readUInt16BE(0), body.readUInt8(3)) };
    default:
      throw new RangeError(`the framing let a message of type ${type} through`);
  }
}
