/** What answers from a cache in front of one authoritative server. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPeer } from '@cloudless/kube/testing/peers';
import { freePort } from '@cloudless/kube/testing/free-port';
import { type ServerProcess, startServer } from './server-process.ts';

export interface Resolver {
  name: string;
  start(upstreamPort: number, cores: string, ready: string, folder: string): Promise<ServerProcess>;
}

export const resolvers: readonly Resolver[] = [
  {
    name: 'Cloudless cluster DNS',
    async start(upstreamPort, cores, ready) {
      const port = await freePort();
      const script = join(import.meta.dirname, 'our-cluster-dns.ts');
      const args = ['--disable-warning=ExperimentalWarning', script, String(port), String(upstreamPort)];
      return startServer({ what: this.name, program: process.execPath, args, port, cores, ready });
    },
  },
  {
    name: 'unbound 1.17',
    async start(upstreamPort, cores, ready, parent) {
      const peer = findPeer('unbound');
      if (!peer) throw new Error('no unbound here: run scripts/setup --test as root');
      const port = await freePort();
      const folder = mkdtempSync(join(parent, 'unbound-'));
      const lines = [
        `server:\n  interface: 127.0.0.1\n  port: ${port}\n  username: ""\n  chroot: ""\n  directory: "${folder}"\n  pidfile: ""`,
        `  use-syslog: no\n  num-threads: ${cores.split(',').length}\n  do-not-query-localhost: no\n  module-config: "iterator"\n  so-reuseport: yes`,
        `forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@${upstreamPort}`,
        'remote-control:\n  control-enable: no',
      ];
      const file = join(folder, 'unbound.conf');
      writeFileSync(file, lines.join('\n') + '\n');
      return startServer({
        what: this.name,
        program: peer.program,
        args: ['-d', '-p', '-c', file],
        env: peer.env,
        port,
        cores,
        ready,
      });
    },
  },
];
