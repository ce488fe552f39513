import { isSubdomain, lowerName, WireError } from '../wire/name.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { checkData } from '../wire/rdata/data.ts';
import { isMetaType, rrType, typeName } from '../wire/types.ts';
import { isSerialHigher, soaSerial, zoneOf } from '../zone/build.ts';
import type { Zone } from '../zone/zone.ts';
import { applySteps, type TransferStep } from './steps.ts';

/** What was sent is no transfer of the zone; `message` says what is wrong with it. */
export class TransferError extends Error {
  override readonly name = 'TransferError';
}

/** What a transfer led to. */
export type TransferResult =
  /** The primary has nothing newer. */
  | { readonly kind: 'current' }
  | {
      readonly kind: 'zone';
      readonly zone: Zone;
      readonly style: 'whole' | 'steps';
      /** Records that are outside the zone and were left out. */
      readonly outside: number;
    };

export interface IncomingOptions {
  readonly origin: string;
  /** The version an IXFR was asked from; undefined: AXFR. */
  readonly held: Zone | undefined;
  /** Records of the whole transfer. */
  readonly maxRecords: number;
}

/**
 * Reads the answer sections of a transfer, AXFR (RFC 5936) or IXFR (RFC 1995) in any of its three forms, record by record
 * and without a socket. Nothing comes of it before the last SOA: a zone is received whole or not at all.
 */
export class IncomingTransfer {
  readonly #options: IncomingOptions;
  #state: 'first' | 'second' | 'whole' | 'removed' | 'added' | 'done' = 'first';
  #soa: ResourceRecord | undefined;
  readonly #whole: ResourceRecord[] = [];
  readonly #steps: TransferStep[] = [];
  #isCurrent = false;
  #count = 0;
  #outside = 0;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#state === 'done';
  }

  /** The next message's answer section. Throws {@link TransferError}. */
  accept(records: readonly ResourceRecord[]): void {
    for (const record of records) {
      if (this.#state === 'done') throw new TransferError('records follow the last SOA');
      this.#count += 1;
      if (this.#count > this.#options.maxRecords)
        throw new TransferError(`it has more than ${this.#options.maxRecords} records`);
      this.#take(this.#checked(record));
    }
  }

  /** Once it {@link isDone}. Throws {@link TransferError} or DifferenceError. */
  result(): TransferResult {
    if (this.#state !== 'done') throw new TransferError('it ended before its last SOA');
    if (this.#isCurrent) return { kind: 'current' };
    const { origin, held } = this.#options;
    const isWhole = this.#steps.length === 0;
    const records = isWhole
      ? this.#whole
      : applySteps(held as Zone, this.#steps, this.#soa as ResourceRecord);
    const zone = zoneOf(origin, records);
    if (!zone.node(origin)?.rrset(rrType.NS))
      throw new TransferError(`the zone has no NS record at its top, ${origin}.`);
    return { kind: 'zone', zone, style: isWhole ? 'whole' : 'steps', outside: this.#outside };
  }

  #take(record: ResourceRecord): void {
    const isSoa = record.type === rrType.SOA;
    if (isSoa && record.name !== this.#options.origin)
      throw new TransferError(`it has a SOA record at ${record.name}., not ${this.#options.origin}.`);
    switch (this.#state) {
      case 'first':
        return this.#takeFirst(record, isSoa);
      case 'second':
        if (!isSoa || !this.#options.held || serialOf(record) === this.#serial)
          return this.#takeWhole(record, isSoa);
        if (serialOf(record) !== this.#options.held.serial)
          throw new TransferError(
            `its differences begin at serial ${serialOf(record)}, not at ${this.#options.held.serial}`,
          );
        return this.#beginStep(record);
      case 'removed':
        if (isSoa) {
          this.#step.to = record;
          this.#state = 'added';
        } else this.#keep(this.#step.removed, record);
        return;
      case 'added':
        return isSoa ? this.#endStep(record) : this.#keep(this.#step.added, record);
      default:
        return this.#takeWhole(record, isSoa);
    }
  }

  #takeFirst(record: ResourceRecord, isSoa: boolean): void {
    if (!isSoa) throw new TransferError(`it begins with a ${typeName(record.type)} record, not with the SOA`);
    this.#soa = record;
    const { held } = this.#options;
    this.#isCurrent = held !== undefined && !isSerialHigher(serialOf(record), held.serial);
    this.#state = this.#isCurrent ? 'done' : 'second';
    this.#whole.push(record);
  }

  #takeWhole(record: ResourceRecord, isSoa: boolean): void {
    this.#state = 'whole';
    if (!isSoa) return this.#keep(this.#whole, record);
    if (!record.data.equals((this.#soa as ResourceRecord).data))
      throw new TransferError(
        `it begins with serial ${this.#serial} and ends with another SOA, of ${serialOf(record)}`,
      );
    this.#state = 'done';
  }

  #beginStep(from: ResourceRecord): void {
    this.#steps.push({ from, removed: [], to: undefined, added: [] });
    this.#state = 'removed';
  }

  /** The SOA behind what a step adds begins the next step, or is the last record of all. */
  #endStep(soa: ResourceRecord): void {
    const reached = serialOf(this.#step.to as ResourceRecord);
    if (serialOf(soa) !== reached)
      throw new TransferError(`a step leads to serial ${reached}, and the next begins at ${serialOf(soa)}`);
    if (!isSerialHigher(reached, serialOf(this.#step.from)))
      throw new TransferError(`a step leads back, from serial ${serialOf(this.#step.from)} to ${reached}`);
    if (reached === this.#serial) this.#state = 'done';
    else this.#beginStep(soa);
  }

  get #step(): TransferStep {
    return this.#steps.at(-1) as TransferStep;
  }

  get #serial(): number {
    return serialOf(this.#soa as ResourceRecord);
  }

  #keep(list: ResourceRecord[], record: ResourceRecord): void {
    if (isSubdomain(record.name, this.#options.origin)) list.push(record);
    else this.#outside += 1;
  }

  #checked(record: ResourceRecord): ResourceRecord {
    const name = lowerName(record.name);
    if (record.class !== undefined) throw new TransferError(`its record ${name}. is not of class IN`);
    const what = `${name}. ${typeName(record.type)}`;
    if (record.type === 0 || isMetaType(record.type))
      throw new TransferError(`it has a record of the type ${what}, which no zone has`);
    try {
      checkData(record.type, record.data);
    } catch (error) {
      throw error instanceof WireError
        ? new TransferError(`its record ${what} is bad: ${error.message}`)
        : error;
    }
    // A TTL with its first bit set is 0 (RFC 2181 section 8).
    return {
      name,
      type: record.type,
      ttlSeconds: record.ttlSeconds > 0x7fff_ffff ? 0 : record.ttlSeconds,
      data: record.data,
    };
  }
}

function serialOf(soa: ResourceRecord): number {
  return soaSerial(soa.data);
}
