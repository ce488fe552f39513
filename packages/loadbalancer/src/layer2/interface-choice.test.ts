import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressBytes } from '../socket/address.ts';
import { defaultExclude, InterfaceChoice, kernelAnswers, type LinkTable } from './interface-choice.ts';
import { type Link, linkFlag } from './rtnetlink.ts';

const working = linkFlag.up | linkFlag.running | linkFlag.broadcast;

interface Machine {
  links: Array<Partial<Link> & { name: string }>;
  /** `interface address/length`. */
  addresses?: string[];
  /** `family metric interface…`. */
  defaultRoutes?: string[];
}

function machine({ links, addresses = [], defaultRoutes = [] }: Machine): LinkTable {
  const index = (name: string): number => links.findIndex((link) => link.name === name) + 1;
  return {
    links: links.map((link, i) => ({
      hardware: 1,
      flags: working,
      mac: Uint8Array.of(2, 0, 0, 0, 0, i + 1),
      master: undefined,
      kind: undefined,
      peerElsewhere: false,
      carrierUps: 1,
      ...link,
      index: i + 1,
    })),
    addresses: addresses.map((text) => {
      const [name = '', address = '', length = ''] = text.split(/[ /]/);
      return {
        index: index(name),
        address: addressBytes(address),
        prefixLength: Number(length),
        tentative: false,
      };
    }),
    defaultRoutes: defaultRoutes.map((text) => {
      const [family, metric, ...names] = text.split(' ');
      return { family: family === '4' ? 4 : 6, metric: Number(metric), indexes: names.map(index) };
    }),
  };
}

function chosen(of: Machine, address: string, wanted: readonly string[] | 'any' = 'any'): string {
  const choice = new InterfaceChoice(machine(of), new RegExp(defaultExclude));
  return choice
    .choose(addressBytes(address), wanted)
    .map(({ name }) => name)
    .join(' ');
}

const homelab: Machine = {
  links: [
    { name: 'lo', flags: working | linkFlag.loopback, hardware: 772 },
    { name: 'eth0' },
    { name: 'eth1' },
    { name: 'docker0', kind: 'bridge' },
    { name: 'veth12ab', kind: 'veth', master: 4, peerElsewhere: true },
    { name: 'cloudless0', kind: 'bridge' },
    { name: 'cl0123456789ab', kind: 'veth', peerElsewhere: true },
    { name: 'wg0', hardware: 65534, mac: new Uint8Array() },
  ],
  addresses: [
    'lo 127.0.0.1/8',
    'eth0 192.168.1.5/24',
    'eth0 fe80::1/64',
    'eth0 2001:db8:1::5/64',
    'eth1 10.0.0.5/8',
    'docker0 172.17.0.1/16',
    'cloudless0 10.244.0.1/32',
    'cl0123456789ab 169.254.1.1/32',
    'wg0 10.9.0.1/24',
  ],
  defaultRoutes: ['4 200 eth1', '4 100 eth0', '6 1024 eth0'],
};

describe('on which interfaces an address is answered for', () => {
  for (const [what, address, expected] of [
    ['the one with its subnet', '192.168.1.240', 'eth0'],
    ['also when that is not the one of the default route', '10.1.2.3', 'eth1'],
    ['IPv6 likewise', '2001:db8:1::9', 'eth0'],
    ['off every subnet: the default route of the lowest metric', '203.0.113.9', 'eth0'],
    ['IPv6 off every subnet: the default route of its family', '2001:db8:9::9', 'eth0'],
    ['in the subnet of containers: not there', '172.17.0.9', 'eth0'],
  ] as const)
    it(`${what}: ${address} → ${expected}`, () => assert.equal(chosen(homelab, address), expected));

  it('an interface without a cable answers nowhere else: nobody on another wire asks', () => {
    const links = homelab.links.map((link) =>
      link.name === 'eth0' ? { ...link, flags: linkFlag.up | linkFlag.broadcast } : link,
    );
    assert.equal(chosen({ ...homelab, links }, '192.168.1.240'), '');
    assert.equal(chosen({ ...homelab, links }, '203.0.113.9'), 'eth1');
  });

  it('without a default route of its family: where the other family has it', () => {
    assert.equal(chosen({ ...homelab, defaultRoutes: ['4 0 eth1'] }, '2001:db8:9::9'), 'eth1');
  });

  it('with no route at all: every uplink, none of containers', () => {
    const isolated = { ...homelab, defaultRoutes: [] };
    assert.equal(chosen(isolated, '203.0.113.9'), 'eth0 eth1');
  });

  it('a default route by a tunnel is passed over', () => {
    assert.equal(chosen({ ...homelab, defaultRoutes: ['4 1 wg0', '4 100 eth1'] }, '203.0.113.9'), 'eth1');
  });

  it('two interfaces of one segment both answer', () => {
    const two = {
      links: [{ name: 'eth0' }, { name: 'wlan0' }],
      addresses: ['eth0 192.168.1.5/24', 'wlan0 192.168.1.6/24'],
    };
    assert.equal(chosen(two, '192.168.1.240'), 'eth0 wlan0');
  });

  it('a node that is a container has its veth as uplink, by its subnet', () => {
    const kind = {
      links: [{ name: 'eth0', kind: 'veth', peerElsewhere: true }],
      addresses: ['eth0 172.18.0.3/16'],
    };
    assert.equal(chosen(kind, '172.18.255.200'), 'eth0');
  });

  it('bonds and VLANs yes, their ports no; members of a VRF yes', () => {
    const links = [
      { name: 'bond0', kind: 'bond' },
      { name: 'eth0', master: 1 },
      { name: 'bond0.7', kind: 'vlan' },
      { name: 'blue', kind: 'vrf', flags: working | linkFlag.noArp },
      { name: 'eth9', master: 4 },
    ];
    assert.equal(chosen({ links }, '203.0.113.9'), 'bond0 bond0.7 eth9');
  });

  it('named interfaces are taken as named, wherever the address is', () => {
    assert.equal(chosen(homelab, '192.168.1.240', ['eth1']), 'eth1');
    assert.equal(chosen(homelab, '192.168.1.240', ['docker0', 'eth7']), 'docker0');
  });

  it('never links of pods, the gateway’s bridge, ports or what has no ARP, though they are named', () => {
    const all = homelab.links.map(({ name }) => name);
    assert.equal(chosen(homelab, '192.168.1.240', all), 'eth0 eth1 docker0');
  });
});

describe('an address that this machine has itself', () => {
  const table = machine({
    ...homelab,
    addresses: [...(homelab.addresses ?? []), 'lo 192.168.1.240/32', 'lo 2001:db8:1::9/128'],
  });
  const choice = new InterfaceChoice(table, /^$/);
  const link = (name: string): Link => table.links.find((one) => one.name === name) as Link;
  const answers = (address: string, name: string, arpIgnore: number): boolean => {
    const bytes = addressBytes(address);
    return kernelAnswers(bytes.length === 4 ? 4 : 6, link(name), choice.holders(bytes), arpIgnore);
  };

  it('IPv4: the kernel answers on every interface unless arp_ignore says otherwise', () => {
    assert.equal(answers('192.168.1.240', 'eth0', 0), true);
    assert.equal(answers('192.168.1.240', 'eth0', 1), false);
    assert.equal(answers('192.168.1.5', 'eth0', 1), true);
    assert.equal(answers('192.168.1.5', 'eth0', 8), false);
  });

  it('IPv6: only where it is assigned', () => {
    assert.equal(answers('2001:db8:1::9', 'eth0', 0), false);
    assert.equal(answers('2001:db8:1::5', 'eth0', 0), true);
  });
});
