import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { HostsConfig } from '../corefile/config.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { WireError, writeName } from '../wire/name.ts';
import { addressData } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { parseReverse } from './reverse.ts';
import { canonicalAddress } from './service-index.ts';
import { isBelow, zoneAround } from './zones.ts';

interface HostsTable {
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly names: ReadonlyMap<string, readonly string[]>;
}

/** A file longer than this is no hosts file. */
const maxBytes = 16 * 1024 * 1024;

/** Names from a hosts file and a Corefile's lines (CoreDNS: plugin/hosts). What stands inline counts before the file. */
export class Hosts {
  readonly #config: HostsConfig;
  readonly #inline: HostsTable;
  #file: HostsTable = { addresses: new Map(), names: new Map() };
  #readMs = -Infinity;

  constructor(config: HostsConfig) {
    this.#config = config;
    this.#inline = tableOf(config.entries);
  }

  /** Records of a type; undefined: the name is none of these, or falls through. No records: it has none of that type. */
  answer(name: string, type: number): readonly ResourceRecord[] | undefined {
    if (zoneAround(this.#config.zones, name) === undefined) return undefined;
    this.#reread();
    const reverse = this.#config.reverse ? parseReverse(name)?.address : undefined;
    if (reverse !== undefined && type === rrType.PTR) {
      const targets = this.#inline.names.get(reverse) ?? this.#file.names.get(reverse);
      if (targets)
        return this.#records(
          name,
          rrType.PTR,
          targets.map((target) => () => writeName(target)),
        );
    }
    const star = `*${name.slice(Math.max(0, name.indexOf('.')))}`;
    const addresses = this.#find(name) ?? (name.includes('.') ? this.#find(star) : undefined);
    if (!addresses) return undefined;
    const wanted = addresses.filter((ip) => (ip.includes(':') ? rrType.AAAA : rrType.A) === type);
    return this.#records(
      name,
      type,
      wanted.map((ip) => () => addressData(ip)),
    );
  }

  /** Whether a name without an answer goes on to the next plugin. */
  fallsThrough(name: string): boolean {
    return this.#config.fallthrough?.some((zone) => isBelow(name, zone)) === true;
  }

  /** Whether the name is in the zones that these hosts are about. */
  isAbout(name: string): boolean {
    return zoneAround(this.#config.zones, name) !== undefined;
  }

  #find(name: string): readonly string[] | undefined {
    return this.#inline.addresses.get(name) ?? this.#file.addresses.get(name);
  }

  #records(name: string, type: number, data: ReadonlyArray<() => Buffer>): ResourceRecord[] {
    return data.flatMap((make) => {
      try {
        return [{ name, type, ttlSeconds: this.#config.ttlSeconds, data: make() }];
      } catch (error) {
        if (error instanceof WireError) return [];
        throw error;
      }
    });
  }

  #reread(): void {
    const { file, reloadMs } = this.#config;
    const nowMs = performance.now();
    if (
      file === undefined ||
      (this.#readMs !== -Infinity && (reloadMs === 0 || nowMs - this.#readMs < reloadMs))
    )
      return;
    this.#readMs = nowMs;
    try {
      const text = readFileSync(file, 'utf8');
      if (text.length <= maxBytes) this.#file = tableOf(entriesOf(text));
    } catch {
      // A file that is not there now: what it said last goes on counting.
    }
  }
}

function entriesOf(text: string): HostsConfig['entries'] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] as string).trim().split(/\s+/);
    return isIP(address) === 0 ? [] : [{ address, names: names.map((name) => name.toLowerCase()) }];
  });
}

function tableOf(entries: HostsConfig['entries']): HostsTable {
  const addresses = new Map<string, string[]>();
  const names = new Map<string, string[]>();
  const add = (map: Map<string, string[]>, key: string, value: string): void => {
    const values = map.get(key);
    if (!values) map.set(key, [value]);
    else if (!values.includes(value)) values.push(value);
  };
  for (const { address, names: own } of entries) {
    const ip = canonicalAddress(address);
    for (const name of own) {
      const plain = name.replace(/\.$/, '');
      add(addresses, plain, ip);
      if (!plain.startsWith('*.')) add(names, ip, plain);
    }
  }
  return { addresses, names };
}
