import type { ResourceRecord } from '../../wire/message.ts';
import type { Place, ZoneProblem } from '../zone.ts';

/** A record that may know where it was written. */
export interface DraftRecord extends ResourceRecord {
  readonly place?: Place | undefined;
}

/** Records that are to become a zone, by name and type, and what is found wrong with them. Names are lower case. */
export class Draft {
  readonly origin: string;
  readonly names = new Map<string, Map<number, DraftRecord[]>>();
  readonly problems: ZoneProblem[] = [];

  constructor(origin: string, records: Iterable<DraftRecord>) {
    this.origin = origin;
    for (const record of records) {
      let sets = this.names.get(record.name);
      if (!sets) this.names.set(record.name, (sets = new Map()));
      const set = sets.get(record.type);
      if (set) set.push(record);
      else sets.set(record.type, [record]);
    }
  }

  error(record: DraftRecord | undefined, message: string): void {
    this.problems.push({ severity: 'error', place: record?.place, message });
  }

  warning(record: DraftRecord | undefined, message: string): void {
    this.problems.push({ severity: 'warning', place: record?.place, message });
  }
}
