import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { algorithmEcdsaP256, KeyError, type StoredKey } from './key.ts';
import { parseKeyText, printKeyText } from './key-text.ts';

/** Keys by origin, and what is wrong with the entries that are left out. */
export interface StoredKeys {
  readonly keys: ReadonlyMap<string, readonly StoredKey[]>;
  /** A sentence each, with the place and the remedy and without the secret. */
  readonly problems: readonly string[];
  /** Names of those entries: they begin with the zone's, see {@link hasUnreadableKey}. */
  readonly unreadable: readonly string[];
}

const maxKeys = 4096;

/**
 * The data of Secret `dnssec-keys` (base64, as in the API): one entry per key, both of BIND's texts in it. The zone is
 * the one that the DNSKEY line names; the entry's name is for people. A bad entry is told and left out.
 */
export function keysOfSecret(data: Readonly<Record<string, string>>): StoredKeys {
  const entries = Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1));
  return collect(
    entries.map(([name, value]) => ({
      name,
      source: `Secret dnssec-keys entry ${name}`,
      text: () => Buffer.from(value, 'base64').toString('utf8'),
    })),
  );
}

/** `data` of the Secret with these keys: the inverse of {@link keysOfSecret}. */
export function secretData(keys: Iterable<StoredKey>): Record<string, string> {
  return Object.fromEntries(
    [...keys].map((key) => {
      const text = printKeyText(key);
      return [secretEntryName(key), Buffer.from(`${text.public}${text.private}`).toString('base64')];
    }),
  );
}

/** `ORIGIN.TAG`, within what a Secret's entry may be called: an origin that cannot stand there has its digest after it. */
export function secretEntryName(key: StoredKey): string {
  return `${entryPrefix(key.origin)}${String(key.keyTag).padStart(5, '0')}`;
}

function entryPrefix(origin: string): string {
  const plain = (origin || 'root').replace(/[^-._a-z0-9]/g, '_');
  if (plain === origin && plain.length <= 240) return `${plain}.`;
  return `${plain.slice(0, 200)}.${createHash('sha256').update(origin).digest('hex').slice(0, 12)}.`;
}

/**
 * Whether an entry that cannot be read is, by its name, a key of this zone. A new key must not be made then: the parent
 * would still have the DS of the one that somebody has damaged.
 */
export function hasUnreadableKey({ unreadable }: StoredKeys, origin: string): boolean {
  const prefixes = [entryPrefix(origin), `${fileOrigin(origin)}.+`];
  return unreadable.some((name) => prefixes.some((prefix) => name.startsWith(prefix)));
}

/** The pairs of files `K*.key` and `K*.private` in a folder, as BIND's dnssec-keygen makes them; no folder: none. */
export function readKeyFolder(folder: string): StoredKeys {
  const names = (existsSync(folder) ? readdirSync(folder) : []).filter(
    (name) => name.startsWith('K') && name.endsWith('.private'),
  );
  return collect(
    names.sort().map((name) => ({
      name: name.slice(1),
      source: join(folder, name),
      text: () =>
        readFileSync(join(folder, name.replace(/private$/, 'key')), 'utf8') +
        readFileSync(join(folder, name), 'utf8'),
    })),
  );
}

/** `Kexample.com.+013+55648`: what BIND calls the pair of files. */
export function keyFileBase(key: StoredKey): string {
  return `K${fileOrigin(key.origin)}.+${String(algorithmEcdsaP256).padStart(3, '0')}+${String(key.keyTag).padStart(5, '0')}`;
}

function fileOrigin(origin: string): string {
  return origin.replaceAll('/', '%2F');
}

/** Writes the pair of files into `folder`, the private one for its owner alone from the beginning. */
export function writeKeyFiles(folder: string, key: StoredKey): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const text = printKeyText(key);
  const base = join(folder, keyFileBase(key));
  for (const [suffix, content, mode] of [
    ['private', text.private, 0o600],
    ['key', text.public, 0o644],
  ] as const) {
    // A name that cannot be there yet: an older file's mode would stay.
    const fresh = `${base}.${suffix}.${process.pid}`;
    writeFileSync(fresh, content, { mode, flag: 'wx' });
    renameSync(fresh, `${base}.${suffix}`);
  }
}

function collect(entries: readonly { name: string; source: string; text: () => string }[]): StoredKeys {
  const keys = new Map<string, StoredKey[]>();
  const problems: string[] = [];
  const unreadable: string[] = [];
  if (entries.length > maxKeys)
    problems.push(
      `${entries.length} keys are more than the ${maxKeys} that are read: remove those that are retired`,
    );
  for (const { name, source, text } of entries.slice(0, maxKeys)) {
    try {
      const key = parseKeyText(text(), source);
      const others = keys.get(key.origin) ?? [];
      if (!others.some(({ dnskey }) => dnskey.equals(key.dnskey))) keys.set(key.origin, [...others, key]);
    } catch (error) {
      unreadable.push(name);
      problems.push(
        error instanceof KeyError ? error.message : `${source} cannot be read: ${messageOf(error)}`,
      );
    }
  }
  return { keys, problems, unreadable };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
