import type { ResourceRecord } from '../../wire/message.ts';
import { zoneTextLimits } from '../text/limits.ts';
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
  readonly #told = { error: 0, warning: 0 };

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
    this.#add('error', record, message);
  }

  warning(record: DraftRecord | undefined, message: string): void {
    this.#add('warning', record, message);
  }

  #add(severity: ZoneProblem['severity'], record: DraftRecord | undefined, message: string): void {
    const told = (this.#told[severity] += 1);
    if (told <= zoneTextLimits.problems) this.problems.push({ severity, place: record?.place, message });
    else if (told === zoneTextLimits.problems + 1)
      this.problems.push({
        severity,
        place: record?.place,
        message: 'there are more of them than are told here',
      });
  }
}
