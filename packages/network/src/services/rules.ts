/** Maps, chains and rules of the service data plane, the same for every set of Services: pure texts. */
import { isIPv4 } from 'node:net';
import type { PartContent } from '../nft/table.ts';
import { pickChain, stickySet } from './elements.ts';
import type { Family } from './ip.ts';

/** What the rules know of the node and the cluster. */
export interface PlaneOptions {
  /** IPv4 address that clients from outside are given towards endpoints; otherwise that of the outgoing interface. */
  nodeIp?: string | undefined;
  /** Blocks of all pods: whoever has another address, and is not a node, is outside the cluster. */
  clusterCidrs?: readonly string[];
  /** Blocks of ClusterIPs: clients outside the cluster that have a route to them are masqueraded too. */
  serviceCidrs?: readonly string[];
}

/** How many chains of each kind there must be. */
export interface PlaneSize {
  /** For every number of endpoints up to these, of all nodes and of this one, in each family. */
  endpoints: Readonly<Record<'all4' | 'all6' | 'local4' | 'local6', number>>;
  /** Timeouts of session affinity. */
  affinitySeconds: readonly number[];
}

const families: readonly Family[] = [4, 6];
/** Clients that are remembered at most, all Services together; more are spread anew with each connection. */
const maxClients = 1 << 18;

const ofFamily = (blocks: readonly string[] | undefined, family: Family): string[] =>
  (blocks ?? []).filter((block) => block.includes(':') === (family === 6));

function blockSet(name: string, family: Family, blocks: readonly string[] | undefined): string {
  const own = ofFamily(blocks, family);
  const elements = own.length === 0 ? '' : ` elements = { ${own.join(', ')} };`;
  return `  set ${name}${family} { type ipv${family}_addr; flags interval; auto-merge;${elements} }`;
}

function holders(family: Family, options: PlaneOptions): string {
  const ip = family === 4 ? 'ip' : 'ip6';
  const key = `${ip} daddr . meta l4proto . th dport`;
  const target = `${ip} daddr . th dport`;
  return [
    `  map services-frontends${family} { typeof ${key} : verdict; }`,
    `  map services-outside${family} { typeof ${key} : verdict; }`,
    `  map services-endpoints${family} { typeof ${key} . numgen random mod 65536 : ${target}; }`,
    `  map services-local-endpoints${family} { typeof ${key} . numgen random mod 65536 : ${target}; }`,
    ...(family === 4
      ? [
          `  map services-clients4 { typeof ${ip} saddr . ${key} : ${target}; size ${maxClients}; flags dynamic,timeout; timeout 3h; }`,
        ]
      : []),
    `  set services-masqueraded${family} { typeof ${key}; }`,
    `  set services-unavailable${family} { typeof ${key}; }`,
    `  set services-restricted${family} { typeof ${key}; }`,
    `  set services-allowed${family} { typeof ${key} . ${ip} saddr; flags interval; }`,
    `  set services-virtual${family} { typeof ${ip} daddr; }`,
    `  set services-external${family} { typeof ${ip} daddr; }`,
    blockSet('services-pods', family, options.clusterCidrs),
    blockSet('services-ranges', family, options.serviceCidrs),
  ].join('\n');
}

/**
 * Chains that choose an endpoint, shared by all frontends with as many. Clients are remembered in IPv4 only: a client, where it
 * went and where it was sent do not fit into nft's registers with IPv6, so there a hash of its address decides.
 */
function pickChains(family: Family, { endpoints }: PlaneSize): string[] {
  const ip = family === 4 ? 'ip' : 'ip6';
  const key = `${ip} daddr . meta l4proto . th dport`;
  const chains: string[] = [];
  for (const [group, map] of [
    ['all', 'services-endpoints'],
    ['local', 'services-local-endpoints'],
  ] as const) {
    for (let count = 1; count <= endpoints[`${group}${family}`]; count++) {
      const choose = (index: string): string => `dnat ${ip} to ${key} . ${index} map @${map}${family}`;
      const spread = choose(`numgen random mod ${count}`);
      const affine =
        family === 4
          ? `dnat ip to ip saddr . ${key} map @services-clients4\n    ${spread}`
          : choose(`jhash ip6 saddr mod ${count}`);
      chains.push(
        `  chain ${pickChain(group, 'spread', count, family)} {\n    ${spread}\n  }`,
        `  chain ${pickChain(group, 'affine', count, family)} {\n    ${affine}\n  }`,
      );
    }
  }
  return chains;
}

const transports = ['tcp', 'udp', 'sctp'] as const;

/** A rule for each transport: nft must know it before it can name the port that the client asked for. */
const perTransport = (rule: string): string[] => transports.map((name) => `meta l4proto ${name} ${rule}`);

const askedFor = (ip: 'ip' | 'ip6'): string =>
  `ct original ${ip} daddr . meta l4proto . ct original proto-dst`;

/** Sets of where clients may be remembered, one for each timeout. */
const stickySets = ({ affinitySeconds }: PlaneSize): string[] =>
  affinitySeconds.map(
    (seconds) =>
      `  set ${stickySet(seconds)}4 { typeof ip daddr . meta l4proto . th dport . ip daddr . th dport; }`,
  );

/** Rules that write down where a client went; an entry that is there already is only made younger. */
const remembering = ({ affinitySeconds }: PlaneSize): string[] =>
  affinitySeconds.flatMap((seconds) =>
    perTransport(
      `ct status dnat ${askedFor('ip')} . ip daddr . th dport @${stickySet(seconds)}4 update @services-clients4 { ip saddr . ${askedFor('ip')} timeout ${seconds}s : ip daddr . th dport }`,
    ),
  );

const both = (rules: (family: Family, ip: 'ip' | 'ip6') => readonly string[]): string[] =>
  families.flatMap((family) => rules(family, family === 4 ? 'ip' : 'ip6'));

/** Rules that give clients the node's address, so that answers come back through it. */
function fromNode(family: Family, { nodeIp }: PlaneOptions): string[] {
  const ip = family === 4 ? 'ip' : 'ip6';
  const translate =
    family === 4 && isIPv4(nodeIp ?? '') ? `snat ip to ${nodeIp} fully-random` : 'masquerade fully-random';
  const outside = `ct status dnat ${ip} saddr != @services-pods${family}`;
  return [
    ...perTransport(`${outside} ${askedFor(ip)} @services-masqueraded${family} ${translate}`),
    `${outside} fib saddr type != local ct original ${ip} daddr @services-ranges${family} ${translate}`,
    // The node's own connections may carry any address of its own, even the virtual one when that is on an interface of it.
    `ct status dnat fib saddr type local ct original ${ip} daddr @services-virtual${family} ${translate}`,
    `ct status dnat fib saddr type local ct original ${ip} daddr @services-external${family} ${translate}`,
  ];
}

/**
 * Declarations and rules. Only what must lead to different chains is a map of
 * verdicts: with each change of one the kernel follows all of them, to find loops.
 */
export function planeRules(
  options: PlaneOptions,
  size: PlaneSize,
): Pick<PartContent, 'part' | 'declarations' | 'rules'> {
  const key = (ip: string): string => `${ip} daddr . meta l4proto . th dport`;
  // First of all, so that packets of connections that stand cost one comparison.
  const newOnly = 'ct state != new accept';
  const refuse = [
    newOnly,
    ...both((family, ip) => [
      `${key(ip)} @services-restricted${family} ${key(ip)} . ${ip} saddr != @services-allowed${family} drop`,
      `${key(ip)} @services-unavailable${family} meta l4proto tcp reject with tcp reset`,
      `${key(ip)} @services-unavailable${family} reject`,
    ]),
  ];
  // An address that is on no interface answers echo requests by the node's own.
  const echo = (ip: 'ip' | 'ip6', condition: string): string =>
    ip === 'ip'
      ? `${condition} icmp type echo-request fib daddr type != local ${isIPv4(options.nodeIp ?? '') ? `dnat ip to ${options.nodeIp}` : 'redirect'}`
      : `${condition} icmpv6 type echo-request fib daddr type != local redirect`;
  const remember = [newOnly, ...remembering(size)];
  return {
    part: 'services',
    declarations: [
      ...families.map((family) => holders(family, options)),
      ...stickySets(size),
      ...families.flatMap((family) => pickChains(family, size)),
      // What still has a Service's address behind translation is not served: sent on, it would come back by the next router.
      '  chain services-unserved {',
      '    fib daddr type local return',
      '    ct state invalid drop',
      '    meta l4proto tcp reject with tcp reset',
      '    reject',
      '  }',
    ].join('\n'),
    rules: {
      'services-refuse-prerouting': refuse,
      'services-refuse-output': refuse,
      'services-prerouting': both((family, ip) => [
        echo(ip, `${ip} daddr @services-virtual${family}`),
        echo(ip, `${ip} daddr @services-external${family} ${ip} saddr != @services-pods${family}`),
        `${ip} saddr != @services-pods${family} ${key(ip)} vmap @services-outside${family}`,
        `${key(ip)} vmap @services-frontends${family}`,
      ]),
      'services-output': both((family, ip) => [
        echo(ip, `${ip} daddr @services-virtual${family}`),
        `${key(ip)} vmap @services-frontends${family}`,
      ]),
      'services-remember-prerouting': remember,
      'services-remember-output': remember,
      'services-unserved-prerouting': both((family, ip) => [
        `${ip} daddr @services-virtual${family} goto services-unserved`,
        `${ip} daddr @services-external${family} ${ip} saddr != @services-pods${family} goto services-unserved`,
      ]),
      'services-unserved-output': both((family, ip) => [
        `${ip} daddr @services-virtual${family} goto services-unserved`,
      ]),
      'services-postrouting': families.flatMap((family) => fromNode(family, options)),
    },
  };
}
