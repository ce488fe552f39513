import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Namespace, newNamespace } from './namespaces.ts';
import { ip } from './node.ts';
import { type Probe, startProbe } from './probe.ts';

/** Addresses on the segment of {@link openSegment}. */
export const onSegment = {
  /** This process: the node `n1`. */
  node: '192.0.2.10',
  /** Another node, `n2`, and a pod on it. */
  other: '192.0.2.12',
  remotePod: '10.244.2.2',
  /** A machine outside the cluster; at .1 it is also everybody's router. */
  client: '192.0.2.100',
  /** A machine behind the client. The way to it narrows to 1300 bytes there. */
  beyond: '198.18.0.2',
} as const;

export interface Segment {
  client: Namespace;
  other: Namespace;
  beyond: Namespace;
  /** Starts a probe in a namespace or here; it ends with the segment. */
  probe(namespace?: Namespace): Probe;
  /** Packets to 203.0.113.0/24 that came to the client: this node sent them on instead of serving or refusing them. */
  cameBack(): string;
  close(): void;
}

/** Elements and rules of this namespace, by `nft`. */
export const nft = (...args: string[]): string =>
  execFileSync('nft', args, { encoding: 'utf8', stdio: 'pipe' });

/**
 * Links this process's namespace to a segment, 192.0.2.0/24 and 2001:db8::/64, with a client and another node on it. The client
 * has routes to 203.0.113.0/24, 2001:db8:1::/64 and the ClusterIPs by this node, as announcements would make them.
 */
export async function openSegment(): Promise<Segment> {
  const opened: Namespace[] = [];
  const probes: Probe[] = [];
  const wire = await newNamespace();
  opened.push(wire);
  wire.run('ip', 'link', 'add', 'segment', 'up', 'type', 'bridge');
  const host = async (name: string, ...addresses: string[]): Promise<Namespace> => {
    const made = await newNamespace();
    opened.push(made);
    wire.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(made.pid));
    wire.run('ip', 'link', 'set', name, 'master', 'segment', 'up');
    for (const address of addresses)
      made.run('ip', 'addr', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []));
    for (const link of ['lo', 'eth0']) made.run('ip', 'link', 'set', link, 'up');
    return made;
  };
  ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'n1', 'netns', String(wire.pid));
  wire.run('ip', 'link', 'set', 'n1', 'master', 'segment', 'up');
  ip('link', 'set', 'uplink', 'up');
  ip('addr', 'add', `${onSegment.node}/24`, 'dev', 'uplink');
  ip('addr', 'add', '2001:db8::10/64', 'dev', 'uplink', 'nodad');
  ip('route', 'add', 'default', 'via', '192.0.2.1');
  writeFileSync('/proc/sys/net/ipv4/conf/uplink/send_redirects', '1');

  const client = await host('client', `${onSegment.client}/24`, '192.0.2.1/24', '2001:db8::100/64');
  client.run('ip', 'route', 'add', '203.0.113.0/24', 'via', onSegment.node, 'src', onSegment.client);
  client.run('ip', 'route', 'add', '2001:db8:1::/64', 'via', '2001:db8::10');
  client.run('ip', 'route', 'add', '10.96.0.0/12', 'via', onSegment.node, 'src', onSegment.client);
  client.run('nft', 'add table inet t; add chain inet t c { type filter hook prerouting priority -300; }');
  client.run('nft', 'add rule inet t c ip daddr 203.0.113.0/24 counter');

  const other = await host('n2', `${onSegment.other}/24`, '2001:db8::12/64');
  other.run('ip', 'addr', 'add', `${onSegment.remotePod}/32`, 'dev', 'lo');
  other.run('ip', 'route', 'add', 'default', 'via', '192.0.2.1');
  other.run('ip', 'route', 'add', '10.244.1.0/24', 'via', onSegment.node, 'src', onSegment.remotePod);
  const beyond = await newNamespace();
  opened.push(beyond);
  client.run(
    'ip',
    'link',
    'add',
    'narrow',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    String(beyond.pid),
  );
  client.run('ip', 'addr', 'add', '198.18.0.1/24', 'dev', 'narrow');
  client.run('ip', 'link', 'set', 'narrow', 'mtu', '1300', 'up');
  client.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  beyond.run('ip', 'addr', 'add', `${onSegment.beyond}/24`, 'dev', 'eth0');
  beyond.run('ip', 'link', 'set', 'eth0', 'up');
  beyond.run('ip', 'route', 'add', 'default', 'via', '198.18.0.1');
  return {
    client,
    other,
    beyond,
    probe(namespace) {
      const made = startProbe(namespace);
      probes.push(made);
      return made;
    },
    cameBack: () => /packets (\d+)/.exec(client.run('nft', 'list table inet t'))?.[1] ?? '',
    close() {
      for (const probe of probes) probe.close();
      for (const namespace of opened) namespace.close();
    },
  };
}
