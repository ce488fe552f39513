/** Record types by mnemonic (IANA "Domain Name System (DNS) Parameters"). */
export const rrType = {
  A: 1,
  NS: 2,
  MD: 3,
  MF: 4,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  NULL: 10,
  WKS: 11,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  X25: 19,
  ISDN: 20,
  RT: 21,
  SIG: 24,
  KEY: 25,
  PX: 26,
  AAAA: 28,
  LOC: 29,
  NXT: 30,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  /** Only in bit maps (RFC 9824 section 3.1). */
  NXNAME: 128,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  URI: 256,
  CAA: 257,
  DLV: 32769,
} as const;

/** Response codes (RFC 1035 section 4.1.1, RFC 2136; from 16 on with EDNS0 or TSIG only, RFC 6891 section 6.1.3). */
export const rcode = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  yxDomain: 6,
  yxRrset: 7,
  nxRrset: 8,
  notAuth: 9,
  notZone: 10,
  badVers: 16,
  /** In TSIG's error field (RFC 8945 section 3); in a header 16 is BADVERS. */
  badSig: 16,
  badKey: 17,
  badTime: 18,
  badMode: 19,
  badName: 20,
  badAlg: 21,
  badTrunc: 22,
  badCookie: 23,
} as const;

/** Kinds of query (RFC 1035, RFC 1996, RFC 2136). */
export const opcode = { query: 0, iquery: 1, status: 2, notify: 4, update: 5 } as const;

/** Classes; NONE and ANY are RFC 2136's. */
export const rrClass = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

export const classIn = rrClass.IN;

/** EDNS0 options. */
export const ednsOption = {
  nsid: 3,
  clientSubnet: 8,
  expire: 9,
  cookie: 10,
  keepalive: 11,
  padding: 12,
  extendedError: 15,
} as const;

/** Info codes of extended DNS errors (RFC 8914 section 4). */
export const extendedError = {
  other: 0,
  staleAnswer: 3,
  notReady: 14,
  blocked: 15,
  prohibited: 18,
  staleNxDomain: 19,
  notAuthoritative: 20,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
  invalidData: 24,
  /** RFC 9824 section 3.5. */
  invalidQueryType: 30,
} as const;

const byType = invert(rrType);
const byClass = invert(rrClass);
const rcodeNames = [
  'NOERROR',
  'FORMERR',
  'SERVFAIL',
  'NXDOMAIN',
  'NOTIMP',
  'REFUSED',
  'YXDOMAIN',
  'YXRRSET',
  'NXRRSET',
  'NOTAUTH',
  'NOTZONE',
];
const extendedRcodeNames = [
  'BADVERS',
  'BADKEY',
  'BADTIME',
  'BADMODE',
  'BADNAME',
  'BADALG',
  'BADTRUNC',
  'BADCOOKIE',
];
const opcodeNames: Record<number, string> = {
  0: 'QUERY',
  1: 'IQUERY',
  2: 'STATUS',
  4: 'NOTIFY',
  5: 'UPDATE',
};

function invert(table: Readonly<Record<string, number>>): Map<number, string> {
  return new Map(Object.entries(table).map(([name, number]) => [number, name]));
}

function numberOf(
  table: Readonly<Record<string, number>>,
  prefix: string,
  mnemonic: string,
): number | undefined {
  const upper = mnemonic.toUpperCase();
  if (Object.hasOwn(table, upper)) return table[upper];
  const generic = upper.startsWith(prefix) ? upper.slice(prefix.length) : '';
  const number = /^\d{1,5}$/.test(generic) ? Number(generic) : 65536;
  return number < 65536 ? number : undefined;
}

/** `MX`; a type without a mnemonic is `TYPE65280` (RFC 3597 section 5). */
export function typeName(type: number): string {
  return byType.get(type) ?? `TYPE${type}`;
}

/** The other way, in any case; undefined when there is no such type. */
export function typeNumber(mnemonic: string): number | undefined {
  return numberOf(rrType, 'TYPE', mnemonic);
}

/** `IN`, `CLASS32`. */
export function className(number: number): string {
  return byClass.get(number) ?? `CLASS${number}`;
}

/** The other way, in any case; undefined when there is no such class. */
export function classNumber(mnemonic: string): number | undefined {
  return numberOf(rrClass, 'CLASS', mnemonic);
}

/** `NXDOMAIN`, `RCODE11`: as dig and CoreDNS's metrics print it. */
export function rcodeName(code: number): string {
  return rcodeNames[code] ?? extendedRcodeNames[code - 16] ?? `RCODE${code}`;
}

/** `NOTIFY`, `OPCODE7`. */
export function opcodeName(code: number): string {
  return opcodeNames[code] ?? `OPCODE${code}`;
}

/** Types that exist in questions and messages only, never in a zone (RFC 6895 section 3.1: OPT and 128–255). */
export function isMetaType(type: number): boolean {
  return type === rrType.OPT || (type >= 128 && type <= 255);
}
