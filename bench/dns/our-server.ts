// Serves the zones of a folder: `our-server.ts '{"folder":…,"port":…,"threads":…,"signed":[ORIGIN…],"keys":FOLDER}'`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startExternalDns } from '@cloudless/dns/external/start';
import type { ExternalDnsOptions } from '@cloudless/dns/external/external-dns';
import { everybody, unlimited } from '@cloudless/dns/server/server';
import { logger } from '@cloudless/kube/logger';

const { folder, port, threads, signed, keys } = JSON.parse(process.argv[2] ?? '{}') as {
  folder: string;
  port: number;
  threads: number;
  signed: string[];
  keys: string;
};

function signedZones(): ExternalDnsOptions['config'] {
  return {
    from: 'given',
    config: {
      zones: signed.map((origin) => {
        const source = join(folder, origin);
        return { origin, text: readFileSync(source, 'utf8'), place: { source, line: 1 } };
      }),
      sources: [],
      policy: 'sync',
      managedRecordTypes: [],
      annotationFilter: undefined,
      labelFilter: undefined,
      defaultTtlSeconds: 300,
      transfers: { allow: [], notify: [] },
      secondaries: new Map(),
      updates: { allow: [] },
      tsigKeys: [],
      dnssec: new Map(signed.map((origin) => [origin, { denial: 'compact' }])),
      access: everybody,
      rateLimit: unlimited,
      api: undefined,
      engine: { name: 'own' },
    },
  };
}

const dns = await startExternalDns({
  config: signed.length > 0 ? signedZones() : { from: 'zones', path: folder },
  keysFolder: keys,
  addresses: ['127.0.0.1'],
  port,
  threads,
  log: logger('dns'),
});
process.once('SIGTERM', () => void dns.stop());
