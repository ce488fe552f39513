/** Codes of NOTIFICATION (RFC 4271 section 4.5, RFC 6608, RFC 7313, RFC 9687; IANA's registry of BGP parameters). */
export const errorCode = {
  header: 1,
  open: 2,
  update: 3,
  holdTimer: 4,
  fsm: 5,
  cease: 6,
  routeRefresh: 7,
  sendHoldTimer: 8,
} as const;

/** Subcodes of Cease (RFC 4486, RFC 8538, RFC 9384). */
export const cease = {
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  hardReset: 9,
  bfdDown: 10,
} as const;

const codeNames: Readonly<Record<number, string>> = {
  1: 'message header error',
  2: 'OPEN message error',
  3: 'UPDATE message error',
  4: 'hold timer expired',
  5: 'finite state machine error',
  6: 'cease',
  7: 'ROUTE-REFRESH message error',
  8: 'send hold timer expired',
};

const subcodeNames: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  1: { 1: 'connection not synchronized', 2: 'bad message length', 3: 'bad message type' },
  2: {
    1: 'unsupported version number',
    2: 'bad peer AS',
    3: 'bad BGP identifier',
    4: 'unsupported optional parameter',
    6: 'unacceptable hold time',
    7: 'unsupported capability',
    11: 'role mismatch',
  },
  3: {
    1: 'malformed attribute list',
    2: 'unrecognized well-known attribute',
    3: 'missing well-known attribute',
    4: 'attribute flags error',
    5: 'attribute length error',
    6: 'invalid ORIGIN attribute',
    8: 'invalid NEXT_HOP attribute',
    9: 'optional attribute error',
    10: 'invalid network field',
    11: 'malformed AS_PATH',
  },
  5: {
    1: 'unexpected message in OpenSent',
    2: 'unexpected message in OpenConfirm',
    3: 'unexpected message in Established',
  },
  6: {
    1: 'maximum number of prefixes reached',
    2: 'administrative shutdown',
    3: 'peer de-configured',
    4: 'administrative reset',
    5: 'connection rejected',
    6: 'other configuration change',
    7: 'connection collision resolution',
    8: 'out of resources',
    9: 'hard reset',
    10: 'BFD down',
  },
  7: { 1: 'invalid message length' },
};

/** A NOTIFICATION as it goes over the wire. */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Buffer;
}

/** What a NOTIFICATION says, in words: `OPEN message error: bad peer AS`; with the peer's own words if it gave any. */
export function describeNotification({ code, subcode, data }: Notification): string {
  const name = codeNames[code] ?? `code ${code}`;
  const detail = subcodeNames[code]?.[subcode] ?? (subcode === 0 ? undefined : `subcode ${subcode}`);
  const words = shutdownCommunication(code, subcode, data);
  return name + (detail === undefined ? '' : `: ${detail}`) + (words === undefined ? '' : ` ("${words}")`);
}

/** RFC 9003: a length and as much UTF-8, with administrative shutdown and reset. */
function shutdownCommunication(code: number, subcode: number, data: Buffer): string | undefined {
  if (code !== errorCode.cease || (subcode !== 2 && subcode !== 4)) return undefined;
  const length = data[0];
  if (length === undefined || length === 0 || data.length < 1 + length) return undefined;
  // Control characters of a peer have no business in a log.
  return data.toString('utf8', 1, 1 + length).replaceAll(/\p{Cc}/gu, ' ');
}

/** The data of a Cease with words (RFC 9003): at most 255 bytes of UTF-8. */
export function shutdownData(words: string): Buffer {
  let text = words;
  while (Buffer.byteLength(text) > 255) text = text.slice(0, -1);
  return Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
}

/** What the peer sent is wrong: carries the NOTIFICATION that tells it (RFC 4271 section 6). */
export class BgpError extends Error implements Notification {
  override readonly name = 'BgpError';
  readonly code: number;
  readonly subcode: number;
  readonly data: Buffer;

  /** `why` says more than the code does; it is for our log and status, not for the wire. */
  constructor(code: number, subcode: number, data: Buffer = Buffer.alloc(0), why?: string) {
    super(describeNotification({ code, subcode, data }) + (why === undefined ? '' : `: ${why}`));
    this.code = code;
    this.subcode = subcode;
    this.data = data;
  }
}

/** Decodes the body of a NOTIFICATION; the framing has seen to its two bytes. */
export function decodeNotification(body: Buffer): Notification {
  return { code: body.readUInt8(0), subcode: body.readUInt8(1), data: body.subarray(2) };
}
