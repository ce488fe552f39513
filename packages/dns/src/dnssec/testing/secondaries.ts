/** Name servers of others that hold a zone of ours as a secondary: BIND's named and NSD. */
import { rrType } from '../../wire/types.ts';
import { type NameServer, startNameServer } from './name-server.ts';

/** Starts one on the loopback; resolves once it answers for the zone, which it fetched from `primaryPort`. */
export function startSecondary(
  kind: 'named' | 'nsd',
  origin: string,
  primaryPort: number,
): Promise<NameServer> {
  const configure = kind === 'named' ? namedConfig : nsdConfig;
  return startNameServer({
    program: kind,
    args: [kind === 'named' ? '-g' : '-d', '-c'],
    probe: [origin, rrType.SOA],
    configure: (folder, port) => configure(folder, origin, port, primaryPort),
  });
}

function namedConfig(folder: string, origin: string, port: number, primaryPort: number): string {
  return `options {
  directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
  pid-file none; session-keyfile none; lock-file none; recursion no; dnssec-validation no; notify no;
};
controls { };
zone "${origin}" { type secondary; primaries { 127.0.0.1 port ${primaryPort}; }; file "zone"; };
`;
}

function nsdConfig(folder: string, origin: string, port: number, primaryPort: number): string {
  return `server:
  ip-address: 127.0.0.1
  port: ${port}
  username: ""
  chroot: ""
  pidfile: ""
  zonesdir: "${folder}"
  database: ""
  zonelistfile: "${folder}/list"
  xfrdfile: "${folder}/xfrd"
  xfrdir: "${folder}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: "${origin}"
  zonefile: "zone"
  request-xfr: AXFR 127.0.0.1@${primaryPort} NOKEY
`;
}
