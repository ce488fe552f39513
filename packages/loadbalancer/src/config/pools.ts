import type { AddressRange, Pool, ServiceAllocation } from './config.ts';
import type { IPAddressPool } from './kinds.ts';
import type { Findings, Report } from './problem.ts';
import { parseRange } from './ranges.ts';
import { labelMatches } from './selectors.ts';

/** A pool without its advertisements, and the object it comes from. */
export interface ParsedPool extends Omit<Pool, 'l2Advertisements' | 'bgpAdvertisements'> {
  readonly labels: Readonly<Record<string, string>>;
  readonly report: Report;
}

interface Owned {
  readonly range: AddressRange;
  readonly field: string;
  readonly report: Report;
}

/** The pools, by name. No address may be in two ranges: not of one pool, not of two. */
export function parsePools(
  objects: readonly IPAddressPool[],
  findings: Findings,
): ReadonlyMap<string, ParsedPool> {
  const pools = new Map<string, ParsedPool>();
  const owned: Owned[] = [];
  for (const object of oldestFirst(objects)) {
    const report = findings.of('IPAddressPool', object);
    const { name = '', namespace = '', labels = {} } = object.metadata;
    const before = pools.get(name);
    if (before) {
      report.problem(
        'metadata.name',
        `${name} is the name of ${before.report.text} already; names are for all namespaces`,
      );
      continue;
    }
    const ranges = parseRanges(object, report);
    owned.push(...ranges.map(({ range, field }) => ({ range, field, report })));
    pools.set(name, {
      name,
      namespace,
      labels,
      report,
      ranges: ranges.map(({ range }) => range),
      autoAssign: object.spec.autoAssign ?? true,
      avoidBuggyIPs: object.spec.avoidBuggyIPs ?? false,
      serviceAllocation: parseAllocation(object, report),
    });
  }
  reportOverlaps(owned);
  return new Map([...pools].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of two objects that cannot be together, the newer one is at fault. */
function oldestFirst(objects: readonly IPAddressPool[]): IPAddressPool[] {
  const age = ({ metadata }: IPAddressPool): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''} ${metadata.namespace ?? ''}`;
  return [...objects].sort((a, b) => (age(a) < age(b) ? -1 : 1));
}

function parseRanges(object: IPAddressPool, report: Report): Array<{ range: AddressRange; field: string }> {
  const addresses = object.spec.addresses ?? [];
  if (addresses.length === 0) report.problem('spec.addresses', 'a pool needs at least one network or range');
  const ranges: Array<{ range: AddressRange; field: string }> = [];
  for (const [i, text] of addresses.entries()) {
    const field = `spec.addresses[${i}]`;
    const range = parseRange(text);
    if (typeof range === 'string') report.problem(field, range);
    else ranges.push({ range, field });
  }
  return ranges;
}

function parseAllocation(object: IPAddressPool, report: Report): ServiceAllocation | undefined {
  const allocation = object.spec.serviceAllocation;
  if (!allocation) return undefined;
  const at = 'spec.serviceAllocation';
  report.unique(allocation.namespaces, `${at}.namespaces`);
  return {
    priority: allocation.priority ?? 0,
    namespaces: new Set(allocation.namespaces),
    namespaceSelectors: labelMatches(allocation.namespaceSelectors, `${at}.namespaceSelectors`, report),
    serviceSelectors: labelMatches(allocation.serviceSelectors, `${at}.serviceSelectors`, report),
  };
}

function reportOverlaps(owned: readonly Owned[]): void {
  const order = new Map(owned.map((one, i) => [one, i]));
  for (const family of [4, 6] as const) {
    const sorted = owned
      .filter(({ range }) => range.family === family)
      .sort((a, b) => (a.range.first < b.range.first ? -1 : a.range.first > b.range.first ? 1 : 0));
    let furthest: Owned | undefined;
    for (const one of sorted) {
      if (furthest && one.range.first <= furthest.range.last) {
        const [older, newer] =
          (order.get(one) ?? 0) > (order.get(furthest) ?? 0) ? [furthest, one] : [one, furthest];
        newer.report.problem(
          newer.field,
          `${newer.range.text} overlaps ${older.range.text} (${older.field} of ${older.report.text})`,
        );
      }
      if (!furthest || one.range.last > furthest.range.last) furthest = one;
    }
  }
}
