/** unbound as a validating resolver in front of a server under test. */
import { rrType } from '../../wire/types.ts';
import { type NameServer, startNameServer } from './name-server.ts';

/** A zone that the resolver asks our server for, and what it trusts. */
export interface Anchor {
  readonly origin: string;
  /** Master-file lines of DS or DNSKEY; none: the zone is expected below a trusted one. */
  readonly lines: readonly string[];
}

/** unbound, with `serverPort` of the loopback as the one server of these zones; `nowMs`: what it takes for the time. */
export function startUnbound(
  serverPort: number,
  anchors: readonly Anchor[],
  nowMs?: number,
): Promise<NameServer> {
  return startNameServer({
    program: 'unbound',
    args: ['-d', '-p', '-c'],
    probe: ['localhost', rrType.A],
    configure: (folder, port) =>
      [
        'server:',
        `  interface: 127.0.0.1@${port}`,
        ...['username', 'chroot', 'pidfile', 'logfile'].map((option) => `  ${option}: ""`),
        `  directory: "${folder}"`,
        '  do-not-query-localhost: no',
        '  use-syslog: no',
        '  verbosity: 0',
        // Every question is to reach the server, instead of being answered from proofs that are cached.
        '  aggressive-nsec: no',
        '  harden-below-nxdomain: no',
        '  num-threads: 1',
        '  module-config: "validator iterator"',
        '  val-log-level: 2',
        '  target-fetch-policy: "0 0 0 0 0"',
        ...(nowMs === undefined ? [] : [`  val-override-date: "${timeText(nowMs)}"`]),
        ...anchors.map(({ origin }) => `  local-zone: "${origin}." nodefault`),
        ...anchors.flatMap(({ lines }) => lines.map((line) => `  trust-anchor: "${line}"`)),
        'remote-control:',
        '  control-enable: no',
        ...anchors.flatMap(({ origin }) => [
          'stub-zone:',
          `  name: "${origin}."`,
          `  stub-addr: 127.0.0.1@${serverPort}`,
        ]),
        '',
      ].join('\n'),
  });
}

/** `YYYYMMDDHHMMSS`. */
function timeText(ms: number): string {
  const iso = new Date(ms).toISOString();
  return iso.slice(0, 19).replace(/[-:T]/g, '');
}
