import type { KubeObject } from '@cloudless/kube/object';
import { parseTime } from '@cloudless/kube/time';
import { lowerName, parseName, WireError } from '../wire/name.ts';
import { checkData, parseData } from '../wire/rdata/data.ts';
import { tokensOf } from '../wire/rdata/token.ts';
import { txtData } from '../wire/rdata/typed.ts';
import { isMetaType, rrType, typeNumber } from '../wire/types.ts';
import { inCanonicalOrder } from '../zone/rrset.ts';
import type { LostRecords, ObjectReference, WantedRecords } from './records.ts';
import type { Endpoint } from './sources/endpoint.ts';

/** What an object asks for, and what of it can't be. */
export interface Wish {
  readonly wanted: readonly WantedRecords[];
  readonly lost: readonly LostRecords[];
}

/** Types that a name has one record of at most. */
const singular: ReadonlySet<number> = new Set([rrType.CNAME, rrType.DNAME]);
/** Types that belong to the zone's text, or are made while a zone is signed. */
const reserved: ReadonlySet<number> = new Set([
  rrType.SOA,
  rrType.RRSIG,
  rrType.NSEC,
  rrType.NSEC3,
  rrType.NSEC3PARAM,
  rrType.DNSKEY,
]);
/** One record set has to fit into a message of 64 KiB. */
const maxSetBytes = 48 * 1024;
const maxTtlSeconds = 2 ** 31 - 1;

/** The label of DNSEndpoints with what stays when its object goes (the policy `upsert-only`): served where nobody else asks. */
export const keptLabel = 'dns.cloudless.dev/kept';
/** The youngest of all. */
const keptMs = Number.MAX_SAFE_INTEGER;

/** Whether the records are kept for an object that may be gone. */
export function isKept({ createdMs }: WantedRecords): boolean {
  return createdMs === keptMs;
}

/** The reference to an object that lists and watches may have left without a kind. */
export function referenceOf(object: KubeObject, apiVersion: string, kind: string): ObjectReference {
  const { namespace, name = '', uid = '' } = object.metadata;
  return { apiVersion, kind, namespace, name, uid };
}

/** Record sets out of endpoints: text becomes data, and what is none is told. Types that are not managed are left out. */
export function wishOf(
  object: KubeObject,
  from: ObjectReference,
  endpoints: readonly Endpoint[],
  settings: { defaultTtlSeconds: number; isManaged(type: string): boolean },
): Wish {
  const wanted: WantedRecords[] = [];
  const lost: LostRecords[] = [];
  const isOfNobody = object.metadata.labels?.[keptLabel] === 'true';
  const createdMs = isOfNobody ? keptMs : parseTime(object.metadata.creationTimestamp) || 0;
  for (const endpoint of endpoints) {
    if (!settings.isManaged(endpoint.recordType)) continue;
    const { dnsName, ttlSeconds = settings.defaultTtlSeconds, setIdentifier } = endpoint;
    const rest = { from, setIdentifier, createdMs };
    try {
      const rrset = rrsetOf(endpoint, Math.min(ttlSeconds, maxTtlSeconds));
      wanted.push({ rrset, ...rest });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      const type = typeNumber(endpoint.recordType) ?? 0;
      lost.push({
        wanted: { rrset: { name: lowerName(dnsName), type, ttlSeconds, data: [] }, ...rest },
        reason: 'InvalidTarget',
        message: `${dnsName || 'a record without a name'} ${endpoint.recordType} cannot be served: ${error.message}`,
        winner: undefined,
      });
    }
  }
  return { wanted, lost };
}

/** Throws {@link WireError} with what is wrong and what to do. */
function rrsetOf(endpoint: Endpoint, ttlSeconds: number): WantedRecords['rrset'] {
  const { recordType, targets } = endpoint;
  const type = typeNumber(recordType);
  if (type === undefined || isMetaType(type)) throw new WireError(`${recordType} is no type of records`);
  if (reserved.has(type))
    throw new WireError(`${recordType} belongs to the zone's text or to its signer; leave it out`);
  if (endpoint.dnsName === '') throw new WireError('its name is empty');
  const name = lowerName(parseName(endpoint.dnsName));
  if (singular.has(type) && targets.length > 1)
    throw new WireError(
      `a name has one ${recordType} at most, and these are ${targets.length}: ${targets.join(', ')}; give addresses, or one name`,
    );
  const data = inCanonicalOrder(
    targets.map((target) => dataOf(type, target)),
    (one) => one,
  );
  if (data.reduce((sum, one) => sum + one.length, 0) > maxSetBytes)
    throw new WireError(`it is larger than ${maxSetBytes} octets, more than fits into an answer`);
  return { name, type, ttlSeconds, data };
}

/** Data of a target. Text of a TXT record stands as it is, or in quotes as in a master file. */
function dataOf(type: number, target: string): Buffer {
  if (type === rrType.TXT && !/^\s*".*"\s*$/s.test(target)) return txtData(target);
  const data = parseData(type, tokensOf(target));
  checkData(type, data);
  return data;
}
