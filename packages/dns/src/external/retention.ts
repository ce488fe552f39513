import { createHash } from 'node:crypto';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { ZoneComposer } from './composer.ts';
import { type DnsEndpoint, type DnsEndpointRecords, dnsEndpoints } from './kinds.ts';
import type { ComposedZone } from './records.ts';
import { isKept, keptLabel } from './wanted.ts';
import { shown } from './why.ts';

export interface Retention extends Running {
  /** Zones may have changed: what they have is kept. */
  look(): void;
}

const retryMs = 1000;
/** One object for each zone, well within what etcd takes. */
const maxBytes = 1_000_000;

/**
 * The policy `upsert-only`: a record stays when the object that asked for it goes. So every record set of an object is noted in
 * a DNSEndpoint of our namespace, one for each zone, as soon as it is served; what is noted is served where no object asks
 * for that name and type. To take a record away, take it out of that DNSEndpoint.
 */
export function startRetention(options: {
  client: KubeClient;
  namespace: string;
  composer: ZoneComposer;
  log: Logger;
  clock?: Clock | undefined;
}): Retention {
  const { client, namespace, composer, log, clock = systemClock } = options;
  const stopping = new AbortController();
  const noted = new Map<string, ComposedZone>();
  let writing: Promise<void> | undefined;
  let timer: ClockTimer | undefined;
  let isLookedAgain = false;

  const write = async (): Promise<void> => {
    for (const zone of composer.composed) {
      if (stopping.signal.aborted) return;
      if (noted.get(zone.origin) === zone) continue;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one zone after the other, behind what is served
        await note(client, namespace, zone, stopping.signal);
        noted.set(zone.origin, zone);
      } catch (error) {
        if (stopping.signal.aborted) return;
        // Another replica was first, or the API is away.
        if (!isConflict(error) && !isAlreadyExists(error))
          log.warn({ err: String(error), zone: zone.origin }, 'cannot note the records that are to stay');
        timer?.cancel();
        timer = clock.setTimeout(look, retryMs);
      }
    }
  };
  const look = (): void => {
    if (stopping.signal.aborted) return;
    isLookedAgain = true;
    writing ??= (async () => {
      while (isLookedAgain && !stopping.signal.aborted) {
        isLookedAgain = false;
        // oxlint-disable-next-line no-await-in-loop
        await write();
      }
    })().finally(() => (writing = undefined));
  };
  return {
    look,
    ...running(async () => {
      stopping.abort(new Error('stopped'));
      timer?.cancel();
      await writing;
    }),
  };
}

/** `kept.ORIGIN`, or a digest where the origin is no name of an object. */
function objectName(origin: string): string {
  const name = `kept.${origin}`;
  return /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name) && name.length <= 253
    ? name
    : `kept-${createHash('sha256').update(origin).digest('hex').slice(0, 32)}`;
}

/** Brings the zone's object to have what objects ask for now, beside what it has. */
async function note(
  client: KubeClient,
  namespace: string,
  zone: ComposedZone,
  signal: AbortSignal,
): Promise<void> {
  // Records made through an API are kept already, and go when the API takes them away.
  const fresh = zone.won.filter(
    (wanted) =>
      !isKept(wanted) && !(wanted.from.kind === 'DNSEndpoint' && wanted.from.namespace === namespace),
  );
  if (fresh.length === 0) return;
  const name = objectName(zone.origin);
  const stored = await client.get(dnsEndpoints, name, { namespace, signal }).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  const key = ({ dnsName, recordType }: DnsEndpointRecords): string => `${dnsName} ${recordType}`;
  const entries = new Map((stored?.spec?.endpoints ?? []).map((one) => [key(one), one]));
  const before = JSON.stringify([...entries.values()]);
  for (const { rrset } of fresh) {
    const { name: dnsName, type: recordType, ttlSeconds: recordTTL, data } = shown(rrset);
    const served = zone.zone?.node(rrset.name)?.rrset(rrset.type);
    const targets = served ? [...shown(served).data] : [...data];
    entries.set(`${dnsName} ${recordType}`, { dnsName, recordType, recordTTL, targets });
  }
  const endpoints = [...entries.values()];
  const text = JSON.stringify(endpoints);
  if (text === before) return;
  if (Buffer.byteLength(text) > maxBytes)
    throw new Error(
      `DNSEndpoint ${namespace}/${name} would have more than ${maxBytes} octets: take records out of it that need not stay`,
    );
  const call = { namespace, signal, fieldManager: 'cloudless-dns' };
  if (stored) await client.update(dnsEndpoints, { ...stored, spec: { endpoints } }, call);
  else {
    const object: DnsEndpoint = {
      apiVersion: 'externaldns.k8s.io/v1alpha1',
      kind: 'DNSEndpoint',
      metadata: {
        name,
        namespace,
        labels: { [keptLabel]: 'true', 'app.kubernetes.io/managed-by': 'cloudless' },
      },
      spec: { endpoints },
    };
    await client.create(dnsEndpoints, object, call);
  }
}
