import { WireError } from './name.ts';
import { ednsOption } from './types.ts';

export interface EdnsOption {
  readonly code: number;
  readonly data: Buffer;
}

/** The OPT record of a message (RFC 6891). */
export interface Edns {
  /** What the sender can take by UDP; at least 512. */
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  /** CO: NXDOMAIN may come with a compact proof (RFC 9824 section 5.1). */
  readonly compactOk: boolean;
  readonly options: readonly EdnsOption[];
}

/** Our own EDNS0 buffer: no fragmentation on any common link (DNS flag day 2020). */
export const ednsUdpSize = 1232;

const noOptions: readonly EdnsOption[] = Object.freeze([]);

/** The options in OPT's data. Throws {@link WireError}. */
export function readOptions(message: Buffer, start: number, end: number): readonly EdnsOption[] {
  if (start === end) return noOptions;
  const options: EdnsOption[] = [];
  for (let position = start; position < end;) {
    if (position + 4 > end) throw new WireError('an EDNS option is cut off');
    const code = message.readUInt16BE(position);
    const next = position + 4 + message.readUInt16BE(position + 2);
    if (next > end) throw new WireError('an EDNS option is cut off');
    options.push({ code, data: Buffer.from(message.subarray(position + 4, next)) });
    position = next;
  }
  return options;
}

/** The first option with this code. */
export function findOption(edns: Edns | undefined, code: number): Buffer | undefined {
  return edns?.options.find((option) => option.code === code)?.data;
}

/** What a client sent in its COOKIE option (RFC 7873 section 4). */
export interface Cookie {
  /** 8 octets. */
  readonly client: Buffer;
  /** 8 to 32 octets; undefined: the client has none yet. */
  readonly server: Buffer | undefined;
}

/** The cookie of a message; undefined: none. A malformed one is a format error (RFC 7873 section 5.2.2): throws. */
export function readCookie(edns: Edns | undefined): Cookie | undefined {
  const data = findOption(edns, ednsOption.cookie);
  if (!data) return undefined;
  if (data.length !== 8 && (data.length < 16 || data.length > 40))
    throw new WireError(`a cookie has 8 or 16 to 40 octets, not ${data.length}`);
  return { client: data.subarray(0, 8), server: data.length === 8 ? undefined : data.subarray(8) };
}

export function cookieOption(client: Buffer, server: Buffer | undefined): EdnsOption {
  return { code: ednsOption.cookie, data: server ? Buffer.concat([client, server]) : client };
}

/** RFC 8914; codes in `extendedError`. */
export function extendedErrorOption(infoCode: number, text = ''): EdnsOption {
  return {
    code: ednsOption.extendedError,
    data: Buffer.concat([Buffer.of(infoCode >> 8, infoCode & 0xff), Buffer.from(text)]),
  };
}

export function readExtendedError(data: Buffer): { infoCode: number; text: string } {
  if (data.length < 2) throw new WireError('an extended error is cut off');
  return { infoCode: data.readUInt16BE(0), text: data.toString('utf8', 2) };
}

/** How long the server keeps an idle TCP connection (RFC 7828), in tenths of a second on the wire. */
export function keepaliveOption(idleMs: number): EdnsOption {
  const tenths = Math.min(Math.round(idleMs / 100), 0xffff);
  return { code: ednsOption.keepalive, data: Buffer.of(tenths >> 8, tenths & 0xff) };
}

/** RFC 5001. */
export function nsidOption(id: string): EdnsOption {
  return { code: ednsOption.nsid, data: Buffer.from(id) };
}

/** Whether the client asks that the answer be padded (RFC 7830): only worth it over TLS. */
export function asksForPadding(edns: Edns | undefined): boolean {
  return findOption(edns, ednsOption.padding) !== undefined;
}

/** Block length that answers over TLS are padded to (RFC 8467 section 4.1). */
export const responsePaddingBytes = 468;
