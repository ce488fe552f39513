import type { LogConfig } from '../corefile/config.ts';
import type { Peer } from '../server/request.ts';
import type { Query } from '../wire/message.ts';
import { className, opcodeName, rcodeName, typeName } from '../wire/types.ts';
import { isBelow } from './zones.ts';

/** One answered question. */
export interface LoggedAnswer {
  readonly query: Query;
  /** Lower case. */
  readonly name: string;
  readonly client: Peer;
  readonly queryBytes: number;
  readonly reply: Buffer;
  readonly rcode: number;
  readonly tookMs: number;
}

const flagBits: ReadonlyArray<readonly [number, string]> = [
  [0x8000, 'qr'],
  [0x0400, 'aa'],
  [0x0200, 'tc'],
  [0x0100, 'rd'],
  [0x0080, 'ra'],
  [0x0020, 'ad'],
  [0x0010, 'cd'],
];

/** Lines as CoreDNS's plugin/log writes them. Names are escaped: what a client asks cannot forge a line. */
export function logLine(rules: readonly LogConfig[], logged: LoggedAnswer): string | undefined {
  const rule = rules.find(({ names }) => names.some((zone) => isBelow(logged.name, zone)));
  if (!rule || !isOfClass(rule, logged)) return undefined;
  return rule.format.replace(/\{[^}\s]+\}/g, (placeholder) => valueOf(placeholder, logged) ?? placeholder);
}

function isOfClass({ classes }: LogConfig, { rcode, reply }: LoggedAnswer): boolean {
  if (classes.includes('all')) return true;
  const isDenial = rcode === 3 || (rcode === 0 && reply.readUInt16BE(6) === 0);
  if (isDenial) return classes.includes('denial');
  return classes.includes(rcode === 0 ? 'success' : 'error');
}

function valueOf(placeholder: string, logged: LoggedAnswer): string | undefined {
  const { query, client, reply } = logged;
  switch (placeholder) {
    case '{type}':
      return typeName(query.question.type);
    case '{name}':
      return `${printable(logged.name)}.`;
    case '{class}':
      return className(query.question.class);
    case '{proto}':
      return client.transport;
    case '{remote}':
      return client.address.includes(':') ? `[${client.address}]` : client.address;
    case '{port}':
      return String(client.port);
    case '{size}':
      return String(logged.queryBytes);
    case '{rsize}':
      return String(reply.length);
    case '{duration}':
      return `${(logged.tookMs / 1000).toFixed(9)}s`;
    case '{rcode}':
      return rcodeName(logged.rcode);
    case '{>rflags}':
      return flags(reply.readUInt16BE(2));
    case '{>bufsize}':
      return String(query.edns?.udpSize ?? 512);
    case '{>do}':
      return String(query.edns?.dnssecOk === true);
    case '{>id}':
      return String(query.id);
    case '{>opcode}':
      return opcodeName(query.opcode);
    case '{local}':
      return '-';
    default:
      return placeholder.startsWith('{/') ? '-' : undefined;
  }
}

const flags = (bits: number): string =>
  flagBits
    .filter(([bit]) => (bits & bit) !== 0)
    .map(([, name]) => name)
    .join(',');

const printable = (name: string): string =>
  name.replace(/[^\x21-\x7e]/g, (character) => `\\${String(character.charCodeAt(0)).padStart(3, '0')}`);
