import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Host, openSegment, type Segment } from '../testing/segment.ts';

let segment: Segment;
let host: Host;
let other: Host;

interface Read {
  links: Array<{
    index: number;
    name: string;
    mac: string;
    kind: string | null;
    master: string | null;
    up: boolean;
  }>;
  addresses: string[];
  defaultRoutes: string[];
}

/** What {@link RouteSocket} reads inside the host's namespace. */
function read(): Read {
  const script = `
    import { RouteSocket } from ${JSON.stringify(join(import.meta.dirname, 'netlink-socket.ts'))};
    import { addressText, macText } from ${JSON.stringify(join(import.meta.dirname, '../socket/address.ts'))};
    const routes = new RouteSocket();
    const { links, addresses, defaultRoutes } = routes.read();
    const name = (index) => links.find((link) => link.index === index)?.name ?? null;
    console.log(JSON.stringify({
      links: links.map((link) => ({ index: link.index, name: link.name, mac: macText(link.mac), kind: link.kind ?? null,
        master: name(link.master), up: (link.flags & 65) === 65 })),
      addresses: addresses.map((own) => name(own.index) + ' ' + addressText(own.address) + '/' + own.prefixLength),
      defaultRoutes: defaultRoutes.map((route) => [route.family, route.metric, ...route.indexes.map(name)].join(' ')),
    }));
    routes.close();`;
  return JSON.parse(host.run(process.execPath, '--input-type=module', '-e', script)) as Read;
}

interface IpLink {
  ifindex: number;
  ifname: string;
  address: string;
  master?: string;
  flags: string[];
  linkinfo?: { info_kind?: string };
  addr_info?: Array<{ local: string; prefixlen: number }>;
}

describe('interfaces by routing netlink', { timeout: 30_000 }, () => {
  before(async () => {
    segment = await openSegment();
    host = await segment.addHost('netlink', { ipv4: '10.9.0.1/24', ipv6: 'fd09::1/64' });
    other = await segment.addHost('changing', { ipv4: '10.9.0.2/24', ipv6: 'fd09::2/64' });
    for (const command of [
      'link add br7 type bridge',
      'link add port7 type veth peer name far7',
      'link set port7 master br7',
      'link set port7 up',
      'link set br7 up',
      'address add 10.7.0.1/16 dev br7',
      'route add default via 10.9.0.254 metric 30',
      'route add default metric 20 nexthop via 10.9.0.253 dev eth0 nexthop via 10.7.0.9 dev br7 onlink',
      'route add 10.6.0.0/16 via 10.9.0.254',
      'route add default via 10.9.0.254 table 77',
      '-6 route add default via fd09::fe metric 40',
    ])
      host.run('ip', ...command.split(' '));
  });
  after(() => segment?.close());

  it('are what ip(8) says', () => {
    const expected = JSON.parse(host.run('ip', '-j', '-d', 'address', 'show')) as IpLink[];
    const { links, addresses } = read();
    assert.deepEqual(
      links,
      expected.map((link) => ({
        index: link.ifindex,
        name: link.ifname,
        mac: link.address,
        kind: link.linkinfo?.info_kind ?? null,
        master: link.master ?? null,
        up: link.flags.includes('UP') && link.flags.includes('LOWER_UP'),
      })),
    );
    const all = expected.flatMap((link) =>
      (link.addr_info ?? []).map(({ local, prefixlen }) => `${link.ifname} ${local}/${prefixlen}`),
    );
    assert.deepEqual(addresses.sort(), all.sort());
  });

  it('default routes of the main table, with all their interfaces; with thousands of others beside them', () => {
    const expected = ['4 20 eth0 br7', '4 30 eth0', '6 40 eth0'];
    assert.deepEqual(read().defaultRoutes.sort(), expected);
    host.run(
      'sh',
      '-c',
      'i=0; while [ $i -lt 3000 ]; do echo "route add 10.200.$((i / 250)).$((i % 250))/32 dev eth0"; i=$((i + 1)); done | ip -batch -',
    );
    assert.deepEqual(read().defaultRoutes.sort(), expected);
  });

  it('what changes tell adds up to what there is', () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const steps = String(Number(process.env['ITERATIONS'] ?? 25) * 2);
    const program = join(import.meta.dirname, '../testing/link-changes.ts');
    assert.equal(other.run(process.execPath, program, String(seed), steps).trim(), 'same');
  });
});
