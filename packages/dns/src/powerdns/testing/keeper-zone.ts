import { type Clock, systemClock } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import { composeZone } from '../../external/compose.ts';
import { endpointKeeper } from '../../external/keeper.ts';
import { type DnsEndpoint, dnsEndpoints } from '../../external/kinds.ts';
import { ServedVersions } from '../../external/served-objects.ts';
import { dnsEndpointEndpoints } from '../../external/sources/dns-endpoint.ts';
import { referenceOf, wishOf } from '../../external/wanted.ts';
import { ZoneRegistry } from '../../zone/registry.ts';
import { parseZone } from '../../zone/text/parse.ts';
import { zoneOf } from '../../zone/build.ts';

/**
 * A zone in a cluster in memory that follows its DNSEndpoints: what the whole authoritative DNS does, without sockets. While
 * it is held back it is a replica that is behind.
 */
export async function startKeeperZone(origin: string, text: string, clock: Clock = systemClock) {
  const cluster = new FakeCluster();
  const zones = new ZoneRegistry();
  const read = parseZone({ origin, text, place: { source: 'test', line: 1 } });
  const base = zoneOf(origin, read.records);
  const informer = startInformer({ client: cluster.client, resource: dnsEndpoints });
  let serial = base.serial;
  const objects = new ServedVersions(() => false);
  let isHeldBack = false;
  const publish = (): void => {
    if (isHeldBack) return;
    objects.clear();
    for (const { metadata } of informer.store.list())
      objects.take(metadata.name ?? '', metadata.resourceVersion);
    const wanted = informer.store.list().flatMap((object: DnsEndpoint) => {
      const from = referenceOf(object, 'externaldns.k8s.io/v1alpha1', 'DNSEndpoint');
      const settings = { defaultTtlSeconds: 300, isManaged: () => true };
      return wishOf(object, from, dnsEndpointEndpoints(object), settings).wanted;
    });
    const { zone } = composeZone({ origin, zone: base, problems: [] }, wanted);
    if (zone && zone.contentHash !== zones.all.get(origin)?.zone.contentHash)
      zones.publish(zone.withSerial(serial++));
    objects.published();
  };
  informer.addHandler({ add: publish, update: publish, delete: publish });
  await informer.synced;
  publish();
  const keeper = endpointKeeper({
    client: cluster.client,
    namespace: 'cloudless-dns',
    zones,
    objects,
    clock,
  });
  const holdBack = (isSo: boolean): void => {
    isHeldBack = isSo;
    publish();
  };
  return { cluster, zones, objects, keeper, clock, holdBack, stop: () => informer.stop() };
}
