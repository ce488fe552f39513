import { logger } from '@cloudless/kube/logger';
import type { DnsServer, DnsServerOptions } from '../server/dns-server.ts';
import { everybody, startDnsServer, unlimited } from '../server/server.ts';
import { zoneOf } from '../zone/build.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import { parseZone } from '../zone/text/parse.ts';
import type { Zone } from '../zone/zone.ts';

/** A zone of a text without mistakes; the SOA and NS records of an origin are there already. */
export function zoneFromText(origin: string, text: string, serial = 1): Zone {
  const head = `$TTL 300\n@ SOA ns1 hostmaster ${serial} 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n`;
  const parsed = parseZone({ origin, text: head + text, place: { source: 'test', line: 1 } });
  const errors = parsed.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join('\n'));
  return zoneOf(origin, parsed.records);
}

/** A registry with zones of these texts. */
export function registryOf(texts: Readonly<Record<string, string>>): ZoneRegistry {
  const registry = new ZoneRegistry();
  for (const [origin, text] of Object.entries(texts)) registry.publish(zoneFromText(origin, text));
  return registry;
}

/** A server on loopback and a free port, silent, open and unlimited but for `options`. */
export function startTestServer(
  options: Partial<DnsServerOptions> & Pick<DnsServerOptions, 'zones'>,
): Promise<DnsServer> {
  return startDnsServer({
    addresses: ['127.0.0.1'],
    port: 0,
    access: everybody,
    rateLimit: unlimited,
    onRequest: () => Promise.resolve(undefined),
    log: logger('dns').child({}, { level: 'silent' }),
    ...options,
  });
}
