import type { ZoneText } from '../../external/config.ts';
import type { ResourceRecord } from '../../wire/message.ts';
import { isSubdomain, lowerName, parseName, WireError } from '../../wire/name.ts';
import { parseData } from '../../wire/rdata/data.ts';
import { parseTtl } from '../../wire/rdata/field.ts';
import type { Token } from '../../wire/rdata/token.ts';
import {
  classIn,
  className,
  classNumber,
  isMetaType,
  rrType,
  typeName,
  typeNumber,
} from '../../wire/types.ts';
import type { Place, ZoneProblem } from '../zone.ts';
import { type Entry, EntryReader } from './entries.ts';
import { generateEntries } from './generate.ts';
import { zoneTextLimits } from './limits.ts';

/** A record, and where it was written. */
export interface PlacedRecord extends ResourceRecord {
  readonly place: Place;
}

export interface ParsedZone {
  /** As they were written, duplicates too; records outside the zone are left out. Names are lower case. */
  readonly records: readonly PlacedRecord[];
  /** In the order of the text; with an error among them the zone is not to be served. */
  readonly problems: readonly ZoneProblem[];
}

/**
 * Reads a master file: RFC 1035 section 5, `$TTL` of RFC 2308, `$GENERATE` and times like `1h30m` as BIND has them, data of
 * unknown types by RFC 3597. What is wrong is told with its line, and the rest is read nevertheless.
 */
export function parseZone(text: ZoneText): ParsedZone {
  const parser = new ZoneParser(lowerName(text.origin), text.includes);
  parser.read(text.text, text.place, 0);
  return parser;
}

/** TTLs have 31 bits (RFC 2181 section 8). */
const maxTtlSeconds = 0x7fff_ffff;

class ZoneParser implements ParsedZone {
  readonly records: PlacedRecord[] = [];
  readonly problems: ZoneProblem[] = [];
  readonly #zone: string;
  readonly #texts: ZoneText['includes'];
  #origin: string;
  /** Of the last record that had one; undefined: it was bad, or there was none. */
  #owner: string | undefined;
  /** Of `$TTL`. */
  #defaultTtl: number | undefined;
  /** Of the last record that had one (RFC 1035), where there is no `$TTL`. */
  #lastTtl: number | undefined;
  #place: Place = { source: '', line: 0 };
  #bytes = 0;
  #includes = 0;
  #isFull = false;

  constructor(zone: string, texts: ZoneText['includes']) {
    this.#zone = zone;
    this.#origin = zone;
    this.#texts = texts;
  }

  read(text: string, place: Place, depth: number): void {
    this.#bytes += text.length;
    this.#place = place;
    if (this.#bytes > zoneTextLimits.textBytes) {
      this.#error(`the zone's text is longer than ${zoneTextLimits.textBytes} octets`);
      this.#isFull = true;
      return;
    }
    const entries = new EntryReader(text, place.line);
    for (let entry = entries.next(); entry && !this.#isFull; entry = entries.next()) {
      this.#place = { source: place.source, line: entry.line };
      if ('problem' in entry) this.#error(entry.problem);
      else this.#readEntry(entry, depth);
    }
  }

  #readEntry(entry: Entry, depth: number): void {
    const word = entry.tokens[0] as Token;
    try {
      if (!entry.isIndented && !word.isQuoted && word.text.startsWith('$')) this.#directive(entry, depth);
      else this.#record(entry);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#error(error.message);
    }
  }

  #directive(entry: Entry, depth: number): void {
    const [directive, ...words] = entry.tokens as [Token, ...Token[]];
    const [first, second] = words;
    switch (directive.text.toUpperCase()) {
      case '$ORIGIN':
        if (!first) throw new WireError('$ORIGIN wants a name');
        this.#origin = this.#name(first.text);
        return this.#endOfLine(words, 1);
      case '$TTL':
        if (!first) throw new WireError('$TTL wants a time');
        this.#defaultTtl = this.#boundedTtl(parseTtl(first.text, '$TTL'), '$TTL');
        return this.#endOfLine(words, 1);
      case '$INCLUDE':
        if (!first) throw new WireError('$INCLUDE wants a file, and a name if its origin is another');
        this.#endOfLine(words, 2);
        return this.#included(first.text, second && this.#name(second.text), depth);
      case '$GENERATE':
        return this.#generated(words);
      default:
        throw new WireError(
          `there is no directive ${directive.text}: $ORIGIN, $TTL, $INCLUDE and $GENERATE are`,
        );
    }
  }

  #endOfLine(words: readonly Token[], count: number): void {
    const extra = words[count];
    if (extra) throw new WireError(`${extra.text} is too much`);
  }

  /** The origin and the owner are what they were after it (RFC 1035 section 5.1); `$TTL` goes on, as in BIND. */
  #included(file: string, origin: string | undefined, depth: number): void {
    const { includeDepth, includes } = zoneTextLimits;
    if (depth >= includeDepth)
      throw new WireError(`$INCLUDE ${file}: ${includeDepth} are within each other already`);
    if (++this.#includes > includes)
      throw new WireError(`$INCLUDE ${file}: there are more than ${includes} of them`);
    const found = this.#texts?.get(file);
    if (!found)
      throw new WireError(
        `$INCLUDE ${file}: there is no such text beside the zone (another key of its configuration)`,
      );
    const before = { origin: this.#origin, owner: this.#owner, place: this.#place };
    this.#origin = origin ?? this.#origin;
    this.read(found.text, found.place, depth + 1);
    ({ origin: this.#origin, owner: this.#owner, place: this.#place } = before);
  }

  #generated(words: readonly Token[]): void {
    for (const tokens of generateEntries(words)) {
      if (this.#isFull) return;
      this.#record({ line: this.#place.line, isIndented: false, tokens });
    }
  }

  #record(entry: Entry): void {
    const { tokens } = entry;
    let next = 0;
    if (!entry.isIndented) {
      this.#owner = undefined;
      this.#owner = lowerName(this.#name((tokens[next++] as Token).text));
    }
    const { type, ttl, next: data } = this.#typeAndTtl(tokens, next);
    const owner = this.#owner;
    if (owner === undefined) {
      if (entry.isIndented)
        throw new WireError('the line begins with a blank, and no record with an owner is before it');
      return;
    }
    const rdata = parseData(type, tokens.slice(data), { origin: this.#origin });
    const ttlSeconds = ttl ?? this.#impliedTtl(type, rdata);
    if (!isSubdomain(owner, this.#zone)) {
      this.#warning(
        `${owner}. is not in the zone ${this.#zone}. and is left out: write names with or without the final dot as $ORIGIN wants it`,
      );
      return;
    }
    if (type === rrType.SOA && owner !== this.#zone)
      throw new WireError(`${owner}. has a SOA record, which belongs at the zone's top, ${this.#zone}.`);
    if (this.records.length >= zoneTextLimits.records) {
      this.#isFull = true;
      throw new WireError(`the zone has more than ${zoneTextLimits.records} records`);
    }
    this.records.push({ name: owner, type, ttlSeconds, data: rdata, place: this.#place });
  }

  /** `[TTL] [class] type` or `[class] [TTL] type` (RFC 1035 section 5.1). */
  #typeAndTtl(
    tokens: readonly Token[],
    start: number,
  ): { type: number; ttl: number | undefined; next: number } {
    let next = start;
    let ttl: number | undefined;
    let hasClass = this.#isClass(tokens[next]);
    if (hasClass) next += 1;
    const time = tokens[next];
    if (time && isTime(time)) {
      ttl = this.#lastTtl = this.#boundedTtl(parseTtl(time.text), 'TTL');
      next += 1;
      if (!hasClass && this.#isClass(tokens[next])) next += 1;
    }
    const word = tokens[next++];
    if (!word) throw new WireError('the record has no type');
    const type = word.isQuoted ? undefined : typeNumber(word.text);
    if (type === undefined) throw new WireError(`there is no record type ${word.text}`);
    if (isMetaType(type))
      throw new WireError(`${typeName(type)} is for questions, a zone has no such records`);
    return { type, ttl, next };
  }

  #isClass(token: Token | undefined): boolean {
    const found = token && !token.isQuoted ? classNumber(token.text) : undefined;
    if (found !== undefined && found !== classIn)
      throw new WireError(`the class is ${className(found)}, but zones here are IN`);
    return found !== undefined;
  }

  #impliedTtl(type: number, data: Buffer): number {
    if (this.#defaultTtl !== undefined) return this.#defaultTtl;
    if (this.#lastTtl !== undefined) return this.#lastTtl;
    if (type !== rrType.SOA) throw new WireError('the record has no TTL, and no $TTL is before it');
    this.#warning('the SOA record has no TTL, and no $TTL is before it: its minimum is taken for both');
    return (this.#defaultTtl = this.#boundedTtl(data.readUInt32BE(data.length - 4), 'TTL'));
  }

  #boundedTtl(seconds: number, label: string): number {
    if (seconds <= maxTtlSeconds) return seconds;
    this.#warning(`${label} ${seconds} is more than ${maxTtlSeconds} and counts as 0 (RFC 2181 section 8)`);
    return 0;
  }

  #name(text: string): string {
    return parseName(text, this.#origin);
  }

  #error(message: string): void {
    this.#problem('error', message);
  }

  #warning(message: string): void {
    this.#problem('warning', message);
  }

  #problem(severity: ZoneProblem['severity'], message: string): void {
    if (this.problems.length < zoneTextLimits.problems)
      this.problems.push({ severity, place: this.#place, message });
    else if (severity === 'error') {
      const more = 'there are more problems than are told here';
      this.problems.push({ severity, place: this.#place, message: more });
      this.#isFull = true;
    }
  }
}

/** Whether a word can be a TTL: it begins with a digit, which no type or class does. */
function isTime(token: Token): boolean {
  const code = token.text.charCodeAt(0);
  return !token.isQuoted && code >= 0x30 && code <= 0x39;
}
