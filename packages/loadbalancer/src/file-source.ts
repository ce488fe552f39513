import { readFileSync } from 'node:fs';
import { Address4, Address6 } from 'ip-address';
import { parse } from 'yaml';
import type { Announcement, AnnouncementTable } from './announcement.ts';

/** A file of announcements that cannot be used; the message has the file, the field and what is expected. */
export class AnnouncementFileError extends Error {
  override readonly name = 'AnnouncementFileError';
}

/**
 * Parses a file such as
 *
 * ```yaml
 * announcements:
 *   - address: 192.0.2.10
 *     candidates: [node-1, node-2]   # optional: every speaker
 *     interfaces: [eth0]             # optional: wherever the address fits
 * ```
 *
 * Throws {@link AnnouncementFileError} with the path of the field.
 */
export function parseAnnouncements(text: string, file: string): Array<Omit<Announcement, 'source'>> {
  const refuse = (field: string, why: string): never => {
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
  const list = (document as { announcements?: unknown } | null)?.announcements;
  if (!Array.isArray(list)) return refuse('announcements', 'expected a list');
  const seen = new Set<string>();
  return list.map((item: unknown, i) => {
    const at = `announcements[${i}]`;
    if (typeof item !== 'object' || item === null) return refuse(at, 'expected an object with an address');
    const { address, candidates, interfaces, ...rest } = item as Record<string, unknown>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) return refuse(`${at}.${unknown}`, 'unknown field');
    if (
      typeof address !== 'string' ||
      !(Address4.isValid(address) || Address6.isValid(address)) ||
      address.includes('/')
    )
      return refuse(`${at}.address`, `${JSON.stringify(address)} is no IP address`);
    const canonical = Address4.isValid(address) ? address : new Address6(address).correctForm();
    if (seen.has(canonical)) return refuse(`${at}.address`, `${canonical} stands twice`);
    seen.add(canonical);
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
      address: canonical,
      candidates: names(candidates, 'candidates'),
      interfaces: names(interfaces, 'interfaces'),
    };
  });
}

/** Puts a file's announcements into a table. A broken file throws and leaves what the table had. */
export function loadAnnouncementFile(path: string, table: AnnouncementTable): void {
  table.set({ kind: 'file', name: path }, parseAnnouncements(readFileSync(path, 'utf8'), path));
}
