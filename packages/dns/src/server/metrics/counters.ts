/**
 * What a serving thread counts, in memory that it shares with the main thread: counting is one addition, and reading it
 * interrupts nobody. Each thread has its own, so that there is one writer; 64-bit floats are written whole.
 */

/** Types that have a label of their own, as CoreDNS has it; all others are `other`. */
export const countedTypes = [
  'other',
  'A',
  'AAAA',
  'MX',
  'SOA',
  'CNAME',
  'PTR',
  'TXT',
  'NS',
  'SRV',
  'DS',
  'DNSKEY',
  'RRSIG',
  'NSEC',
  'NSEC3',
  'HTTPS',
  'SVCB',
  'CAA',
  'ANY',
  'IXFR',
  'AXFR',
] as const;

export const transports = ['udp', 'tcp', 'tls'] as const;
export const families = ['1', '2'] as const;
/** Response codes up to BADCOOKIE. */
export const countedRcodes = 24;

/** Upper bounds in octets and in seconds, as CoreDNS has them; one bucket more is beyond the last. */
export const sizeBounds = [
  0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000,
] as const;
export const durationBounds = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512,
  1.024,
] as const;

/** Single counts. */
export const events = [
  'dnssecOk',
  'cacheHits',
  'cacheMisses',
  'rateDropped',
  'rateTruncated',
  'accessRefused',
  'cookiesValid',
  'cookiesNew',
  'malformed',
  'ignored',
  'handedOver',
  'handOverRefused',
  'sendFailed',
  'connections',
  'connectionsRefused',
] as const;
export type CountedEvent = (typeof events)[number];

const sizeCells = sizeBounds.length + 2;
const durationCells = durationBounds.length + 2;

/** Where things are, in cells. */
export const layout = (() => {
  let next = 0;
  const take = (cells: number): number => {
    const at = next;
    next += cells;
    return at;
  };
  return {
    requests: take(transports.length * families.length * countedTypes.length),
    responses: take(countedRcodes),
    requestSizes: take(transports.length * sizeCells),
    responseSizes: take(transports.length * sizeCells),
    durations: take(durationCells),
    events: take(events.length),
    sizeCells,
    durationCells,
    cells: next,
  };
})();

export const newCounters = (): SharedArrayBuffer => new SharedArrayBuffer(layout.cells * 8);

const eventAt = Object.fromEntries(events.map((event, i) => [event, layout.events + i])) as Record<
  CountedEvent,
  number
>;

const typeIndex = new Uint8Array(65_536);
for (const [number, name] of [
  [1, 'A'],
  [28, 'AAAA'],
  [15, 'MX'],
  [6, 'SOA'],
  [5, 'CNAME'],
  [12, 'PTR'],
  [16, 'TXT'],
  [2, 'NS'],
  [33, 'SRV'],
  [43, 'DS'],
  [48, 'DNSKEY'],
  [46, 'RRSIG'],
  [47, 'NSEC'],
  [50, 'NSEC3'],
  [65, 'HTTPS'],
  [64, 'SVCB'],
  [257, 'CAA'],
  [255, 'ANY'],
  [251, 'IXFR'],
  [252, 'AXFR'],
] as const)
  typeIndex[number] = countedTypes.indexOf(name);

const sizeBucket = new Uint8Array(65_536);
for (let size = 0, bucket = 0; size < sizeBucket.length; size++) {
  while (bucket < sizeBounds.length && size > (sizeBounds[bucket] as number)) bucket += 1;
  sizeBucket[size] = bucket;
}

/** The writing side. */
export class Counters {
  readonly #cells: Float64Array;

  constructor(shared: SharedArrayBuffer) {
    this.#cells = new Float64Array(shared);
  }

  event(event: CountedEvent): void {
    this.#add(eventAt[event], 1);
  }

  /** @param transport index in {@link transports} */
  request(transport: number, isIpv6: boolean, type: number, size: number): void {
    const family = transport * families.length + (isIpv6 ? 1 : 0);
    this.#add(layout.requests + family * countedTypes.length + (typeIndex[type & 0xffff] as number), 1);
    this.#size(layout.requestSizes + transport * sizeCells, size);
  }

  response(transport: number, rcode: number, size: number): void {
    this.#add(layout.responses + (rcode < countedRcodes ? rcode : countedRcodes - 1), 1);
    this.#size(layout.responseSizes + transport * sizeCells, size);
  }

  /** `count` answers that took so long. */
  duration(seconds: number, count: number): void {
    let bucket = 0;
    while (bucket < durationBounds.length && seconds > (durationBounds[bucket] as number)) bucket += 1;
    this.#add(layout.durations + bucket, count);
    this.#add(layout.durations + durationCells - 1, seconds * count);
  }

  #size(base: number, size: number): void {
    this.#add(base + (sizeBucket[size & 0xffff] as number), 1);
    this.#add(base + sizeCells - 1, size);
  }

  #add(cell: number, amount: number): void {
    this.#cells[cell] = (this.#cells[cell] as number) + amount;
  }
}
