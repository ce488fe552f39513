import { createHash } from 'node:crypto';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, sleep } from '@cloudless/kube/clock';
import { isAlreadyExists, isConflict, isNotFound, StatusError } from '@cloudless/kube/status';
import { ChangeRefusedError, type RecordKeeper, type RRsetChange } from '../update/change.ts';
import { isSubdomain, lowerName, parseName, WireError } from '../wire/name.ts';
import { checkData, parseData, printData } from '../wire/rdata/data.ts';
import { tokensOf } from '../wire/rdata/token.ts';
import { rrType, typeName, typeNumber } from '../wire/types.ts';
import { zoneOf } from '../zone/build.ts';
import type { ZoneRegistry } from '../zone/registry.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { RRset, Zone } from '../zone/zone.ts';
import type { ServedZone } from '../zone/zones.ts';
import { type Answering, isAnswered } from './answered.ts';
import { composeZone } from './compose.ts';
import { type DnsEndpoint, type DnsEndpointRecords, dnsEndpoints } from './kinds.ts';
import type { ObjectReference } from './records.ts';
import { compareVersions } from './serial.ts';
import type { ServedObjects } from './served-objects.ts';

/** The label, `api`, of DNSEndpoints that hold what was made through an API: read whether `crd` is a source or not. */
export const madeByLabel = 'dns.cloudless.dev/made-by';
/** Annotation of such an object: its zone. */
export const zoneAnnotation = 'dns.cloudless.dev/zone';
/** In the labels of one record set: who asked for it. */
const byLabel = 'dns.cloudless.dev/by';

/** An object holds a megabyte and a half at most in etcd; this leaves room for what the API server adds. */
const mostBytes = 1_000_000;
/** How long what is stored may take to be served here: before a change is judged, and after it. */
const servedTimeoutMs = 10_000;
/** What is stored is read again while it is waited for: it may be another version by then. */
const rereadMs = 500;
/** After a conflict a replica waits up to so long: the other one gets its turn. */
const conflictPauseMs = 20;

export interface EndpointKeeperOptions {
  /** Undefined: there is no cluster, and every change is refused. */
  client: KubeClient | undefined;
  /** Where the objects are. */
  namespace: string;
  zones: Pick<ZoneRegistry, 'all' | 'onChange' | 'settled'>;
  threadsSettled?: Answering['threadsSettled'];
  /** Which version of what is kept is served. */
  objects: ServedObjects;
  clock: Clock;
  /** Which objects a served record set comes from; none: it is written in the zone's text. For words of refusals. */
  ownersOf?: ((name: string, type: number) => readonly ObjectReference[]) | undefined;
}

/**
 * Keeps what APIs make in one DNSEndpoint for each zone, so that a call is one write: wholly there, or not at all. A call
 * is judged by the zone that is made of just the version that the write replaces, or a replica that is behind would let
 * prerequisites pass that no longer hold. It resolves when the zone that is served here has the changes. Record sets of
 * the zone's text or of other objects are refused, as composing the zone would.
 */
export function endpointKeeper(options: EndpointKeeperOptions): RecordKeeper {
  const queues = new Map<string, Promise<unknown>>();
  return {
    apply(origin, changes, by) {
      const before = queues.get(origin) ?? Promise.resolve();
      const work = before.then(() => applyChanges(options, origin, changes, by));
      const settled = work.catch(() => undefined);
      queues.set(origin, settled);
      void settled.then(() => queues.get(origin) === settled && queues.delete(origin));
      return work;
    },
  };
}

type Changes = Parameters<RecordKeeper['apply']>[1];

const noAbort = new AbortController().signal;

function contested(origin: string): ChangeRefusedError {
  return new ChangeRefusedError(
    'unavailable',
    `others changed zone ${origin}. at the same time, again and again: try again`,
  );
}

async function applyChanges(
  options: EndpointKeeperOptions,
  origin: string,
  asked: Changes,
  by: string,
): Promise<{ serial: number }> {
  const { client } = options;
  if (!client)
    throw new ChangeRefusedError(
      'unavailable',
      'records can be changed only where a cluster keeps them: this server has zone texts alone, so edit those',
    );
  const deadlineMs = options.clock.monotonicMs() + servedTimeoutMs;
  for (;;) {
    const { stored, zone } = await agreement(options, client, origin, deadlineMs);
    const changes = typeof asked === 'function' ? asked(zone) : asked;
    const mine = new Map((stored?.spec?.endpoints ?? []).map((one) => [keyOfEndpoint(one), one]));
    const next = changed(mine, changes, zone, by, options);
    let version = versionOf(stored);
    try {
      if (next) version = await write(options, client, origin, stored, [...next.values()]);
    } catch (error) {
      if (!isConflict(error) && !isAlreadyExists(error)) throw refusal(error);
      if (options.clock.monotonicMs() > deadlineMs) throw contested(origin);
      await sleep(options.clock, Math.random() * conflictPauseMs, noAbort);
      continue;
    }
    return { serial: await untilServed(options, origin, version) };
  }
}

interface Agreement {
  readonly stored: DnsEndpoint | undefined;
  /** Made of `stored`, and served. */
  readonly zone: Zone;
}

/** What is stored for a zone, once the zone is served here with just that in it. */
async function agreement(
  options: EndpointKeeperOptions,
  client: KubeClient,
  origin: string,
  deadlineMs: number,
): Promise<Agreement> {
  const { clock, namespace, zones } = options;
  for (;;) {
    checkChangeable(zones.all.get(origin), origin);
    const stored = await storedObject(client, namespace, origin);
    const version = versionOf(stored);
    // The served one may be newer than what was read here; '' is both, not there yet and deleted.
    const isDecided = (served: string): boolean =>
      served === version || (version !== '' && compareVersions(served, version) > 0);
    const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const found = await servedWith(options, origin, isDecided, Math.min(rereadMs, leftMs));
    if (found?.version === version) return { stored, zone: found.zone };
    if (clock.monotonicMs() >= deadlineMs)
      throw new ChangeRefusedError(
        'unavailable',
        `zone ${origin}. is served here in another version than is stored, so nothing can be said of changes: try again, cloudless dns status tells why`,
      );
  }
}

/** Throws {@link ChangeRefusedError}. */
function checkChangeable(served: ServedZone | undefined, origin: string): void {
  if (!served) throw new ChangeRefusedError('not-found', `there is no zone ${origin}.`);
  if (served.role === 'secondary')
    throw new ChangeRefusedError(
      'invalid',
      `zone ${origin}. is held for another server: change it at its primary`,
    );
  if (served.isExpired)
    throw new ChangeRefusedError(
      'unavailable',
      `zone ${origin}. has no text that is good, so nothing of it is served: cloudless dns status tells why`,
    );
}

/** What the object is to hold; undefined: no more and no less than it does. Throws {@link ChangeRefusedError}. */
function changed(
  mine: ReadonlyMap<string, DnsEndpointRecords>,
  changes: readonly RRsetChange[],
  zone: Zone,
  by: string,
  options: EndpointKeeperOptions,
): Map<string, DnsEndpointRecords> | undefined {
  const next = new Map(mine);
  const replaced: RRset[] = [];
  let isChanged = false;
  for (const change of changes) {
    if (change.kind === 'replace') {
      const endpoint = endpointOf(change.rrset, zone, by);
      const key = keyOfEndpoint(endpoint);
      replaced.push(change.rrset);
      if (!isSameEndpoint(next.get(key), endpoint)) {
        next.set(key, endpoint);
        isChanged = true;
      }
      continue;
    }
    const types = change.type === undefined ? (zone.node(change.name)?.types() ?? []) : [change.type];
    for (const type of types) {
      const key = keyOf(change.name, type);
      if (next.delete(key)) isChanged = true;
      else if (!mine.has(key) && zone.node(change.name)?.rrset(type))
        throw new ChangeRefusedError('conflict', notMine(change.name, type, zone, options));
    }
  }
  if (!isChanged) return undefined;
  refuseLosers(mine, next, replaced, zone, options);
  return next;
}

/** Composes the zone with the changes, and refuses those that would lose. */
function refuseLosers(
  mine: ReadonlyMap<string, DnsEndpointRecords>,
  next: ReadonlyMap<string, DnsEndpointRecords>,
  replaced: readonly RRset[],
  zone: Zone,
  options: EndpointKeeperOptions,
): void {
  if (replaced.length === 0) return;
  const others = function* (): Iterable<ReturnType<typeof recordsOf>[number]> {
    for (const rrset of zone.rrsets())
      if (!mine.has(keyOf(rrset.name, rrset.type)) || rrset.type === rrType.SOA) yield* recordsOf(rrset);
  };
  const from = { apiVersion: '', kind: 'DNSEndpoint', namespace: undefined, name: '', uid: 'api' };
  const wanted = [...next.values()].flatMap((endpoint) => {
    const rrset = rrsetOf(endpoint);
    return rrset ? [{ rrset, from, setIdentifier: undefined, createdMs: 0 }] : [];
  });
  const base = zoneOf(zone.origin, others());
  const { lost } = composeZone({ origin: zone.origin, zone: base, problems: [] }, wanted);
  const touched = new Set(replaced.map(({ name, type }) => keyOf(name, type)));
  const loser = lost.find(({ wanted: { rrset } }) => touched.has(keyOf(rrset.name, rrset.type)));
  if (!loser) return;
  const { name, type } = loser.wanted.rrset;
  const isThere = base.node(name)?.rrset(type) !== undefined;
  throw new ChangeRefusedError('conflict', isThere ? notMine(name, type, zone, options) : loser.message);
}

function notMine(name: string, type: number, zone: Zone, options: EndpointKeeperOptions): string {
  const what = `${name}. ${typeName(type)}`;
  const owners = options.ownersOf?.(name, type) ?? [];
  if (owners.length === 0)
    return `${what} is written in the text of zone ${zone.origin}. or made from another object, which counts: change it there`;
  const names = owners.map((one) => `${one.kind} ${one.namespace ? `${one.namespace}/` : ''}${one.name}`);
  return `${what} belongs to ${names.join(', ')}: change it there`;
}

function endpointOf(rrset: RRset, zone: Zone, by: string): DnsEndpointRecords {
  const { name, type, data } = rrset;
  if (!isSubdomain(name, zone.origin))
    throw new ChangeRefusedError('invalid', `RRset ${name}. IN ${typeName(type)}: Name is out of zone`);
  if (type === rrType.SOA)
    throw new ChangeRefusedError(
      'conflict',
      `the SOA belongs to the text of zone ${zone.origin}., and its serial rises by itself: change the others there`,
    );
  if (data.length === 0)
    throw new ChangeRefusedError('invalid', `RRset ${name}. IN ${typeName(type)}: it has no records`);
  try {
    for (const one of data) checkData(type, one);
    return {
      dnsName: name,
      recordType: typeName(type),
      // A DNSEndpoint without a TTL has the default one, and 0 means none.
      recordTTL: Math.max(1, rrset.ttlSeconds),
      targets: data.map((one) => printData(type, one)),
      labels: { [byLabel]: by },
    };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new ChangeRefusedError('invalid', `RRset ${name}. IN ${typeName(type)}: ${error.message}`);
  }
}

/** Undefined: somebody has written into the object what is no record set. */
function rrsetOf(endpoint: DnsEndpointRecords): RRset | undefined {
  const type = typeNumber(endpoint.recordType ?? '');
  if (type === undefined) return undefined;
  try {
    const name = lowerName(parseName(endpoint.dnsName ?? ''));
    const data = (endpoint.targets ?? []).map((target) => parseData(type, tokensOf(target)));
    return { name, type, ttlSeconds: Number(endpoint.recordTTL ?? 0), data };
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

const keyOf = (name: string, type: number): string => `${name} ${type}`;
const keyOfEndpoint = ({ dnsName = '', recordType = '' }: DnsEndpointRecords): string =>
  keyOf(lowerName(dnsName.replace(/(?<!\\)\.$/, '')), typeNumber(recordType) ?? 0);

function isSameEndpoint(a: DnsEndpointRecords | undefined, b: DnsEndpointRecords): boolean {
  return (
    a?.recordTTL === b.recordTTL &&
    JSON.stringify([...(a?.targets ?? [])].sort()) === JSON.stringify([...(b.targets ?? [])].sort())
  );
}

/** `api.ORIGIN`, or a digest where the origin is no name of an object. */
export function keeperObjectName(origin: string): string {
  const name = `api.${origin}`;
  return /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name) && name.length <= 253
    ? name
    : `api-${createHash('sha256').update(origin).digest('hex').slice(0, 32)}`;
}

async function storedObject(
  client: KubeClient,
  namespace: string,
  origin: string,
): Promise<DnsEndpoint | undefined> {
  try {
    return await client.get(dnsEndpoints, keeperObjectName(origin), { namespace });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw refusal(error);
  }
}

async function write(
  { namespace }: EndpointKeeperOptions,
  client: KubeClient,
  origin: string,
  stored: DnsEndpoint | undefined,
  endpoints: DnsEndpointRecords[],
): Promise<string> {
  const size = Buffer.byteLength(JSON.stringify(endpoints));
  if (size > mostBytes)
    throw new ChangeRefusedError(
      'invalid',
      `zone ${origin}. would have ${size} octets of records made through APIs, and ${mostBytes} are kept: put those that stay into the zone's text, or into DNSEndpoints of your own`,
    );
  const name = keeperObjectName(origin);
  if (!stored) {
    const metadata = {
      name,
      namespace,
      labels: { [madeByLabel]: 'api', 'app.kubernetes.io/managed-by': 'cloudless' },
      annotations: { [zoneAnnotation]: origin },
    };
    const object: DnsEndpoint = {
      apiVersion: 'externaldns.k8s.io/v1alpha1',
      kind: 'DNSEndpoint',
      metadata,
      spec: { endpoints },
    };
    return versionOf(await client.create(dnsEndpoints, object, { namespace, fieldManager: 'cloudless-dns' }));
  }
  const object = { ...stored, spec: { endpoints } };
  return versionOf(await client.update(dnsEndpoints, object, { namespace, fieldManager: 'cloudless-dns' }));
}

const versionOf = (object: DnsEndpoint | undefined): string => object?.metadata.resourceVersion ?? '';

/** What the API server says, for somebody who speaks to this server. */
function refusal(error: unknown): Error {
  if (error instanceof ChangeRefusedError) return error;
  if (isNotFound(error))
    return new ChangeRefusedError(
      'unavailable',
      'the cluster has no kind DNSEndpoint, or no namespace for them: cloudless dns install brings both',
    );
  const text = error instanceof StatusError ? error.message : 'it does not answer';
  return new ChangeRefusedError('unavailable', `the cluster did not store the change: ${text}`);
}

/** A zone as it is served once the version of our object in it is wanted; undefined: not within the time. */
async function servedWith(
  { zones, objects, clock }: EndpointKeeperOptions,
  origin: string,
  isWanted: (version: string) => boolean,
  timeoutMs: number,
): Promise<{ zone: Zone; version: string } | undefined> {
  const name = keeperObjectName(origin);
  const { promise, resolve } = Promise.withResolvers<{ zone: Zone; version: string } | undefined>();
  const look = (): void => {
    const version = objects.versionIn(origin, name);
    // Now, or the zone may be a newer one.
    const zone = zones.all.get(origin)?.zone;
    if (!zone) resolve(undefined);
    else if (version !== undefined && isWanted(version)) resolve({ zone, version });
  };
  const end = objects.onChange(look);
  const timer = clock.setTimeout(() => resolve(undefined), timeoutMs);
  try {
    look();
    return await promise;
  } finally {
    timer.cancel();
    end();
  }
}

/** Resolves with the serial that has our object in this version, once it is what is answered. */
async function untilServed(options: EndpointKeeperOptions, origin: string, version: string): Promise<number> {
  const { clock } = options;
  const deadlineMs = clock.monotonicMs() + servedTimeoutMs;
  const isNewEnough = (served: string): boolean => compareVersions(served, version) >= 0;
  const found = await servedWith(options, origin, isNewEnough, servedTimeoutMs);
  const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
  if (found && (await isAnswered(options, found.zone, leftMs))) return found.zone.serial;
  throw new ChangeRefusedError(
    'unavailable',
    `the change of zone ${origin}. is stored, but not served yet: cloudless dns status tells why`,
  );
}
