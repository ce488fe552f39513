/** The name servers that are compared, each with its own configuration in a folder of its own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findPeer, type Peer } from '@cloudless/kube/testing/peers';
import { freePort } from '@cloudless/kube/testing/free-port';
import { type ServerProcess, startServer } from './server-process.ts';
import type { ZoneSet } from './zone-set.ts';

export interface ServerOptions {
  set: ZoneSet;
  /** For taskset: `0` or `0,1`; a thread or process for each. */
  cores: string;
  /** Sign the zones while serving. */
  signed?: boolean;
  folder: string;
}

export interface Contestant {
  name: string;
  canSign: boolean;
  start(options: ServerOptions): Promise<ServerProcess>;
}

const peers = resolve(import.meta.dirname, '../../.cache/peers');
const modules = join(peers, 'usr/lib/x86_64-linux-gnu/pdns');

function peer(name: string): Peer {
  const found = findPeer(name);
  if (!found) throw new Error(`no ${name} here: run scripts/setup --test as root`);
  return found;
}

const threadsOf = ({ cores }: ServerOptions): number => cores.split(',').length;

async function start(
  options: ServerOptions,
  what: string,
  peerName: string,
  configure: (folder: string, port: number) => readonly string[],
): Promise<ServerProcess> {
  const { program, env } = peer(peerName);
  const port = await freePort();
  const folder = mkdtempSync(join(options.folder, `${peerName}-`));
  const args = configure(folder, port);
  return startServer({ what, program, args, env, port, cores: options.cores, ready: readyName(options.set) });
}

const readyName = (set: ZoneSet): string => `h0.${set.origins.at(-1)}`;

function powerDns(what: string, backend: (options: ServerOptions, folder: string) => string): Contestant {
  return {
    name: what,
    canSign: what.includes('sqlite'),
    start: (options) =>
      start(options, what, 'pdns_server', (folder, port) => {
        const settings = [
          `local-address=127.0.0.1\nlocal-port=${port}\nsocket-dir=${folder}\nmodule-dir=${modules}`,
          `receiver-threads=${threadsOf(options)}\nreuseport=yes\nloglevel=3\ndisable-syslog=yes\nnegquery-cache-ttl=60`,
        ];
        writeFileSync(join(folder, 'pdns.conf'), `${settings.join('\n')}\n${backend(options, folder)}\n`);
        if (options.signed) for (const origin of options.set.origins) pdnsutil(folder, 'secure-zone', origin);
        return [`--config-dir=${folder}`, '--daemon=no', '--guardian=no'];
      }),
  };
}

function pdnsutil(folder: string, ...args: string[]): void {
  const { program, env } = peer('pdnsutil');
  execFileSync(program, [`--config-dir=${folder}`, ...args], { env, stdio: 'ignore' });
}

function namedConfiguration({ set }: ServerOptions, folder: string): string {
  const file = join(folder, 'named.conf');
  const zones = set.origins.map(
    (origin) => `zone "${origin}" { type master; file "${join(set.folder, origin)}"; };`,
  );
  writeFileSync(file, zones.join('\n') + '\n');
  return file;
}

const sqlite = powerDns('PowerDNS 4.7, sqlite', (options, folder) => {
  const database = join(folder, 'pdns.sqlite');
  const schema = readFileSync(
    join(peers, 'usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql'),
    'utf8',
  );
  const { program, env } = peer('zone2sql');
  const statements = execFileSync(
    program,
    ['--gsqlite', `--named-conf=${namedConfiguration(options, folder)}`],
    {
      env,
      encoding: 'utf8',
      maxBuffer: 1e9,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const shell = peer('sqlite3');
  execFileSync(shell.program, [database], {
    env: shell.env,
    input: `${schema}\nBEGIN;\n${statements}\nCOMMIT;\n`,
  });
  return `launch=gsqlite3\ngsqlite3-database=${database}\ngsqlite3-dnssec=yes`;
});

const bind = powerDns(
  'PowerDNS 4.7, bind backend',
  (options, folder) => `launch=bind\nbind-config=${namedConfiguration(options, folder)}`,
);

const knot: Contestant = {
  name: 'Knot 3.2',
  canSign: true,
  start: (options) =>
    start(options, knot.name, 'knotd', (folder, port) => {
      const threads = threadsOf(options);
      const signing = options.signed ? '\n    dnssec-signing: on\n    dnssec-policy: p' : '';
      const lines = [
        `server:\n  rundir: ${folder}\n  listen: 127.0.0.1@${port}\n  udp-workers: ${threads}\n  tcp-workers: 1\n  background-workers: 1`,
        `log:\n  - target: stderr\n    any: error`,
        `database:\n  storage: ${folder}`,
        `policy:\n  - id: p\n    algorithm: ECDSAP256SHA256\n    single-type-signing: on`,
        `template:\n  - id: default\n    storage: ${options.set.folder}\n    zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    journal-content: all\n    semantic-checks: off${signing}`,
        `zone:\n${options.set.origins.map((origin) => `  - domain: ${origin}\n    file: ${origin}`).join('\n')}`,
      ];
      if (!options.signed)
        lines[4] = `template:\n  - id: default\n    storage: ${options.set.folder}\n    zonefile-sync: -1\n    semantic-checks: off`;
      writeFileSync(join(folder, 'knot.conf'), lines.join('\n') + '\n');
      return ['-c', join(folder, 'knot.conf')];
    }),
};

const nsd: Contestant = {
  name: 'NSD 4.6',
  canSign: false,
  start: (options) =>
    start(options, nsd.name, 'nsd', (folder, port) => {
      const zones = options.set.origins.map(
        (origin) => `zone:\n  name: ${origin}\n  zonefile: ${join(options.set.folder, origin)}`,
      );
      const settings = [
        `server:\n  server-count: ${threadsOf(options)}\n  ip-address: 127.0.0.1@${port}\n  username: ""\n  reuseport: yes\n  do-ip6: no`,
        `  zonesdir: ${folder}\n  database: ""\n  pidfile: ""\n  xfrdfile: ${folder}/xfrd\n  zonelistfile: ${folder}/list\n  xfrdir: ${folder}\n  rrl-ratelimit: 0`,
        'remote-control:\n  control-enable: no',
      ];
      writeFileSync(join(folder, 'nsd.conf'), [...settings, ...zones].join('\n') + '\n');
      return ['-d', '-c', join(folder, 'nsd.conf')];
    }),
};

const command = resolve(import.meta.dirname, '../../bin/cloudless');

const ours: Contestant = {
  name: 'Cloudless',
  canSign: true,
  async start(options) {
    const port = await freePort();
    const folder = mkdtempSync(join(options.folder, 'ours-'));
    const content = options.signed
      ? ['--values', signedValues(options.set, folder)]
      : ['--zones', options.set.folder];
    const listen = ['--listen', `127.0.0.1:${port}`, '--port', '0', '--threads', String(threadsOf(options))];
    return startServer({
      what: ours.name,
      program: command,
      args: ['dns', 'external', ...content, ...listen, '--keys', join(folder, 'keys')],
      port,
      cores: options.cores,
      ready: readyName(options.set),
    });
  },
};

function signedValues({ origins, folder }: ZoneSet, parent: string): string {
  mkdirSync(join(parent, 'keys'));
  const zones = Object.fromEntries(
    origins.map((origin) => [origin, readFileSync(join(folder, origin), 'utf8')]),
  );
  const dnssec = Object.fromEntries(origins.map((origin) => [origin, { denial: 'compact' }]));
  const file = join(parent, 'values.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ zones, dnssec }));
  return file;
}

export const contestants: readonly Contestant[] = [ours, sqlite, bind, knot, nsd];
