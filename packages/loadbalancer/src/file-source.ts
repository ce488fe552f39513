import { readFileSync } from 'node:fs';
import { Address4, Address6 } from 'ip-address';
import { parse } from 'yaml';
import type { Announcement, AnnouncementTable } from './announcement.ts';
import type { Member } from './layer2/layer2.ts';

/** A file of announcements that cannot be used; the message has the file, the field and what is expected. */
export class AnnouncementFileError extends Error {
  override readonly name = 'AnnouncementFileError';
}

/** What a file says. */
export interface AnnouncementFile {
  announcements: Array<Omit<Announcement, 'source'>>;
  /** Speakers that are there whether gossip and the API know them or not. */
  members: Member[];
}

const isAddress = (value: unknown): value is string =>
  typeof value === 'string' && (Address4.isValid(value) || Address6.isValid(value)) && !value.includes('/');

const canonical = (address: string): string =>
  Address4.isValid(address) ? address : new Address6(address).correctForm();

type Refuse = (field: string, why: string) => never;

/**
 * Parses a file such as
 *
 * ```yaml
 * announcements:
 *   - address: 192.0.2.10
 *     candidates: [node-1, node-2]   # optional: every speaker
 *     interfaces: [eth0]             # optional: wherever the address fits
 * members:                           # optional: the speakers, where no API names them
 *   - {name: node-1, address: 192.0.2.1}
 *   - {name: node-2, address: 192.0.2.2}
 * ```
 *
 * Throws {@link AnnouncementFileError} with the path of the field.
 */
export function parseAnnouncementFile(text: string, file: string): AnnouncementFile {
  const refuse: Refuse = (field, why) => {
    throw new AnnouncementFileError(`${file}: ${field}: ${why}`);
  };
  let document: unknown;
  try {
    document = parse(text);
  } catch (cause) {
    throw new AnnouncementFileError(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (typeof document !== 'object' || document === null) return refuse('announcements', 'expected a list');
  const { announcements, members, ...rest } = document as Record<string, unknown>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) return refuse(unknown, 'unknown field');
  return {
    announcements: announcementsOf(announcements, refuse),
    members: members === undefined ? [] : membersOf(members, refuse),
  };
}

/** The announcements of {@link parseAnnouncementFile} alone. */
export function parseAnnouncements(text: string, file: string): Array<Omit<Announcement, 'source'>> {
  return parseAnnouncementFile(text, file).announcements;
}

function announcementsOf(list: unknown, refuse: Refuse): Array<Omit<Announcement, 'source'>> {
  if (!Array.isArray(list)) return refuse('announcements', 'expected a list');
  const seen = new Set<string>();
  return list.map((item: unknown, i) => {
    const at = `announcements[${i}]`;
    if (typeof item !== 'object' || item === null) return refuse(at, 'expected an object with an address');
    const { address: text, candidates, interfaces, ...rest } = item as Record<string, unknown>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) return refuse(`${at}.${unknown}`, 'unknown field');
    if (!isAddress(text)) return refuse(`${at}.address`, `${JSON.stringify(text)} is no IP address`);
    const address = canonical(text);
    if (seen.has(address)) return refuse(`${at}.address`, `${address} stands twice`);
    seen.add(address);
    const names = (value: unknown, field: string): readonly string[] | 'any' => {
      if (value === undefined) return 'any';
      if (
        !Array.isArray(value) ||
        value.length === 0 ||
        !value.every((name) => typeof name === 'string' && name !== '')
      )
        return refuse(`${at}.${field}`, 'expected a list of names with at least one');
      return value as string[];
    };
    return {
      address,
      candidates: names(candidates, 'candidates'),
      interfaces: names(interfaces, 'interfaces'),
    };
  });
}

function membersOf(list: unknown, refuse: Refuse): Member[] {
  if (!Array.isArray(list)) return refuse('members', 'expected a list');
  const seen = new Set<string>();
  return list.map((item: unknown, i) => {
    const at = `members[${i}]`;
    if (typeof item !== 'object' || item === null)
      return refuse(at, 'expected an object with a name and an address');
    const { name, address, ...rest } = item as Record<string, unknown>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) return refuse(`${at}.${unknown}`, 'unknown field');
    if (typeof name !== 'string' || name === '') return refuse(`${at}.name`, 'expected the name of a node');
    if (seen.has(name)) return refuse(`${at}.name`, `${name} stands twice`);
    seen.add(name);
    if (!isAddress(address)) return refuse(`${at}.address`, `${JSON.stringify(address)} is no IP address`);
    return { name, address: canonical(address) };
  });
}

/** Puts a file's announcements into a table. A broken file throws and leaves what the table had. */
export function loadAnnouncementFile(path: string, table: AnnouncementTable): void {
  table.set({ kind: 'file', name: path }, parseAnnouncements(readFileSync(path, 'utf8'), path));
}
