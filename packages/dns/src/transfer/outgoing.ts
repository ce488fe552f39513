import type { ResourceRecord } from '../wire/message.ts';
import { recordsOf } from '../zone/rrset.ts';
import { isSerialHigher, soaSerial } from '../zone/build.ts';
import type { RRset, Zone, ZoneDifference } from '../zone/zone.ts';

/** What a secondary is sent. `records` is walked once and belongs to one version of the zone, however long that takes. */
export interface OutgoingTransfer {
  /** `current`: the secondary has what is there; `steps`: differences (RFC 1995); `whole`: every record (RFC 5936). */
  readonly kind: 'current' | 'steps' | 'whole';
  readonly records: Iterable<ResourceRecord>;
}

/** Every record of the zone, the SOA first and again last (RFC 5936 section 2.2). */
export function wholeZone(zone: Zone): OutgoingTransfer {
  return { kind: 'whole', records: wholeRecords(zone) };
}

function* wholeRecords(zone: Zone): Iterable<ResourceRecord> {
  for (const rrset of zone.rrsets()) yield* recordsOf(rrset);
  yield soaOf(zone.soa);
}

/**
 * What leads a secondary from `fromSerial` to this version: one SOA when it has it, the steps of `history` when they begin
 * where it is, and the whole zone when they do not or are more than that.
 */
export function changesSince(
  zone: Zone,
  history: readonly ZoneDifference[],
  fromSerial: number,
): OutgoingTransfer {
  if (!isSerialHigher(zone.serial, fromSerial)) return { kind: 'current', records: [soaOf(zone.soa)] };
  const first = history.findIndex(({ from }) => serialOf(from) === fromSerial);
  const steps = first < 0 ? [] : history.slice(first);
  const last = steps.at(-1);
  // A history that ends elsewhere than at this version would lead the secondary astray.
  if (!last || serialOf(last.to) !== zone.serial) return wholeZone(zone);
  const count = steps.reduce((sum, { removed, added }) => sum + removed.length + added.length + 2, 2);
  if (count > zone.recordCount) return wholeZone(zone);
  return { kind: 'steps', records: stepRecords(zone, steps) };
}

/** RFC 1995 section 4: between two SOAs of the newest version, each step's old SOA with what goes, new SOA with what comes. */
function* stepRecords(zone: Zone, steps: readonly ZoneDifference[]): Iterable<ResourceRecord> {
  yield soaOf(zone.soa);
  for (const { from, to, removed, added } of steps) {
    yield soaOf(from);
    yield* removed;
    yield soaOf(to);
    yield* added;
  }
  yield soaOf(zone.soa);
}

/** Record lists of about this size before compression; most come out at half of it, where pointers still reach. */
const batchBytes = 24 * 1024;

/** A message holds up to 65,535 octets; what one record may take beside header, question, OPT and TSIG. */
const roomForRecords = 65_535 - 1024;

/** Records in the lists that go into one message each. Throws for a record that no message has room for. */
export function* batched(records: Iterable<ResourceRecord>): Iterable<ResourceRecord[]> {
  let batch: ResourceRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    // The text of a name is at least as long as its wire form less two.
    const size = record.name.length + 2 + 10 + record.data.length;
    if (size > roomForRecords) throw new Error(`a record of ${record.name}. is too large for any message`);
    if (batch.length > 0 && bytes + size > batchBytes) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

function soaOf(soa: RRset): ResourceRecord {
  return recordsOf(soa)[0] as ResourceRecord;
}

function serialOf(soa: RRset): number {
  return soaSerial(soa.data[0] as Buffer);
}
