import { algorithmEcdsaP256, KeyError, keyOfScalar, type KeyTimes, scalarOf, type StoredKey } from './key.ts';

/** BIND's names of the times, in the order in which it writes them. */
const timeFields: readonly (readonly [string, keyof KeyTimes])[] = [
  ['Created', 'created'],
  ['Publish', 'publish'],
  ['Activate', 'activate'],
  ['Inactive', 'inactive'],
  ['Delete', 'delete'],
  ['SyncPublish', 'syncPublish'],
  ['SyncDelete', 'syncDelete'],
];

/** DNSKEY in a key file carries no TTL of its own meaning; BIND takes the zone's when there is none. */
const dnskeyLine = /^(\S+)\s+(?:\d+\s+)?(?:IN\s+)?(?:\d+\s+)?DNSKEY\s+(\d+)\s+(\d+)\s+(\d+)\s+(.+)$/i;
const field = /^([A-Za-z-]+):\s*(.*)$/;
const maxTextBytes = 16_384;

/**
 * A key of BIND's text forms: the contents of `K*.key` and `K*.private`, one after the other in either order. Knot
 * (`keymgr import-bind`), PowerDNS (`pdnsutil import-zone-key`) and NSD's ldns tools read and write the same two.
 * `source` is for errors. Throws {@link KeyError}.
 */
export function parseKeyText(text: string, source: string): StoredKey {
  if (text.length > maxTextBytes) throw new KeyError(`${source} is longer than a key can be`);
  const lines = text.split('\n').map((line) => line.replace(/(^|\s);.*$/, '').trim());
  const fields = new Map(
    lines.flatMap((line) => {
      const match = field.exec(line);
      return match ? [[(match[1] as string).toLowerCase(), match[2] as string] as const] : [];
    }),
  );
  const record = lines.map((line) => dnskeyLine.exec(line)).find((match) => match !== null);
  if (!record)
    throw new KeyError(
      `${source} has no DNSKEY record: put the line of the .key file beside the private key`,
    );
  const [, owner, flagsText, , algorithmText, publicText] = record as unknown as string[];
  const algorithm = Number(algorithmText);
  if (algorithm !== algorithmEcdsaP256)
    throw new KeyError(
      `${source} is of algorithm ${algorithm}; only 13 (ECDSA P-256) can sign here: roll the zone to a key of 13 first`,
    );
  const flags = Number(flagsText);
  if (flags !== 256 && flags !== 257)
    throw new KeyError(
      `${source} has flags ${flags}: 257 is a key-signing or combined key, 256 a zone-signing key`,
    );
  const scalar = fields.get('privatekey');
  if (scalar === undefined)
    throw new KeyError(`${source} has no PrivateKey: add the text of the .private file`);
  const origin = (owner as string).replace(/\.$/, '').toLowerCase();
  const times = timesOf(fields, source);
  const key = keyOfScalar({ origin, flags, times }, Buffer.from(scalar, 'base64'), source);
  if (!key.dnskey.subarray(4).equals(Buffer.from((publicText as string).replace(/\s/g, ''), 'base64')))
    throw new KeyError(
      `${source}: the DNSKEY does not belong to the private key; take both from the same pair`,
    );
  return key;
}

function timesOf(fields: ReadonlyMap<string, string>, source: string): KeyTimes {
  return Object.fromEntries(
    timeFields.flatMap(([name, key]) => {
      const text = fields.get(name.toLowerCase());
      return text === undefined ? [] : [[key, parseTime(text, `${source}: ${name}`)]];
    }),
  );
}

/** `YYYYMMDDHHMMSS` in UTC, as in RRSIG's presentation form (RFC 4034 section 3.2). */
function parseTime(text: string, what: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\b/.exec(text);
  const ms = parts ? Date.parse(`${parts.slice(1, 4).join('-')}T${parts.slice(4).join(':')}Z`) : Number.NaN;
  if (Number.isNaN(ms)) throw new KeyError(`${what} is not a time like 20260131120000`);
  return ms;
}

function printTime(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '');
}

/** The two texts of a key as BIND's dnssec-keygen writes them. */
export function printKeyText(key: StoredKey): { public: string; private: string } {
  const role = key.flags === 257 ? 'key-signing' : 'zone-signing';
  const flags = `${key.flags} ${key.dnskey[2]} ${key.algorithm}`;
  const times = timeFields.flatMap(([name, property]) => {
    const time = key.times[property];
    return time === undefined ? [] : [[name, printTime(time)] as const];
  });
  return {
    public: [
      `; This is a ${role} key, keyid ${key.keyTag}, for ${key.origin}.`,
      ...times.map(([name, time]) => `; ${name}: ${time}`),
      `${key.origin}. IN DNSKEY ${flags} ${key.dnskey.subarray(4).toString('base64')}`,
      '',
    ].join('\n'),
    private: [
      'Private-key-format: v1.3',
      `Algorithm: ${key.algorithm} (ECDSAP256SHA256)`,
      `PrivateKey: ${scalarOf(key).toString('base64')}`,
      ...times.map(([name, time]) => `${name}: ${time}`),
      '',
    ].join('\n'),
  };
}
