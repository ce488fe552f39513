import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Pool } from '../config/config.ts';
import { parseConfiguration } from '../config/parse.ts';
import { addressOf, type IpAddress } from '../speaker/address.ts';
import { type AllocationRequest, type AllocationResult, Allocator } from './allocator.ts';

type Pools = ReadonlyMap<string, Pool>;

function poolsOf(specs: Record<string, { addresses: string[] } & Record<string, unknown>>): Pools {
  const parsed = parseConfiguration({
    ipAddressPools: Object.entries(specs).map(([name, spec]) => ({
      metadata: { name, namespace: 'lb' },
      spec,
    })),
  });
  if (!('config' in parsed)) assert.fail(JSON.stringify(parsed.problems));
  return parsed.config.pools;
}

const request = (service: string, more: Partial<AllocationRequest> = {}): AllocationRequest => ({
  service: `default/${service}`,
  namespace: 'default',
  labels: {},
  namespaceLabels: {},
  ports: ['TCP/80'],
  keys: { sharing: '', backend: '' },
  families: [4],
  oneFamilySuffices: false,
  ...more,
});
const texts = (result: AllocationResult): string =>
  'refused' in result ? result.refused : result.addresses.map(({ text }) => text).join(',');
const ip = (text: string): IpAddress => addressOf(text) as IpAddress;

function allocatorWith(specs: Parameters<typeof poolsOf>[0]): Allocator {
  const allocator = new Allocator();
  allocator.setPools(poolsOf(specs));
  return allocator;
}

describe('the allocator', () => {
  it('gives the lowest free address, ranges in their order, and takes back what is released', () => {
    const allocator = allocatorWith({ p: { addresses: ['192.0.2.8-192.0.2.9', '192.0.2.0/31'] } });
    const got = ['a', 'b', 'c', 'd'].map((name) => texts(allocator.allocate(request(name))));
    assert.deepEqual(got, ['192.0.2.8', '192.0.2.9', '192.0.2.0', '192.0.2.1']);
    assert.equal(texts(allocator.allocate(request('e'))), 'no available IPs');
    assert.equal(allocator.release('default/b'), true);
    assert.equal(allocator.release('default/b'), false);
    assert.equal(texts(allocator.allocate(request('e'))), '192.0.2.9');
  });

  it('leaves out .0 and .255 where that is asked for, and counts so', () => {
    const allocator = allocatorWith({ p: { addresses: ['192.0.2.254-192.0.4.1'], avoidBuggyIPs: true } });
    assert.equal(allocator.countsOf('p')?.capacityIPv4, 256n);
    assert.equal(texts(allocator.allocate(request('a'))), '192.0.2.254');
    assert.equal(texts(allocator.allocate(request('b'))), '192.0.3.1');
    assert.equal(
      texts(allocator.assign(request('c'), [ip('192.0.3.255')])),
      '["192.0.3.255"] is not allowed in config',
    );
    for (let i = 0; i < 254; i++) allocator.allocate(request(`more-${i}`));
    assert.equal(texts(allocator.allocate(request('last'))), 'no available IPs');
    assert.equal(allocator.countsOf('p')?.assignedIPv4, 256);
  });

  it('takes pools by priority, those of the Service first, and others only where they are for all', () => {
    const allocator = allocatorWith({
      all: { addresses: ['192.0.2.1/32'] },
      manual: { addresses: ['192.0.2.2/32'], autoAssign: false },
      late: { addresses: ['192.0.2.3/32'], serviceAllocation: { namespaces: ['default'] } },
      second: { addresses: ['192.0.2.4/32'], serviceAllocation: { priority: 20, namespaces: ['default'] } },
      first: {
        addresses: ['192.0.2.5/32'],
        serviceAllocation: { priority: 10, namespaceSelectors: [{ matchLabels: { team: 'x' } }] },
      },
      labelled: {
        addresses: ['192.0.2.6/32'],
        serviceAllocation: { priority: 1, serviceSelectors: [{ matchLabels: { app: 'y' } }] },
      },
      other: { addresses: ['192.0.2.7/32'], serviceAllocation: { priority: 1, namespaces: ['elsewhere'] } },
    });
    const get = (name: string, more: Partial<AllocationRequest> = {}): string =>
      texts(allocator.allocate(request(name, more)));
    assert.equal(get('a', { labels: { app: 'y' } }), '192.0.2.6');
    assert.equal(get('b', { namespaceLabels: { team: 'x' } }), '192.0.2.5');
    assert.deepEqual(
      [get('c'), get('d'), get('e'), get('f')],
      ['192.0.2.4', '192.0.2.3', '192.0.2.1', 'no available IPs'],
    );
    assert.equal(texts(allocator.allocateFromPool(request('g'), 'manual')), '192.0.2.2');
    assert.equal(
      texts(allocator.allocateFromPool(request('h'), 'other')),
      'pool other not compatible for ip assignment',
    );
    assert.equal(texts(allocator.allocateFromPool(request('h'), 'gone')), 'unknown pool "gone"');
    assert.equal(
      texts(allocator.assign(request('h'), [ip('192.0.2.7')])),
      'pool other not compatible for ip assignment',
    );
  });

  it('gives both families of one pool, or one where that suffices', () => {
    const allocator = allocatorWith({
      four: { addresses: ['192.0.2.1-192.0.2.9'] },
      six: { addresses: ['2001:db8::/64'] },
      both: { addresses: ['198.51.100.1/32', '2001:db8:1::/64'] },
    });
    const dual = { families: [4, 6] as const };
    const rather = { families: [6, 4] as const, oneFamilySuffices: true };
    assert.equal(texts(allocator.allocate(request('a', dual))), '198.51.100.1,2001:db8:1::');
    assert.equal(texts(allocator.allocate(request('b', dual))), 'no available IPs');
    assert.equal(texts(allocator.allocate(request('c', rather))), '2001:db8:1::1');
    assert.equal(texts(allocator.allocate(request('d', { ...rather, families: [4, 6] }))), '192.0.2.1');
    assert.equal(
      texts(allocator.allocateFromPool(request('e', dual), 'both')),
      'no available IPs in pool both for dual IPFamily',
    );
    assert.equal(texts(allocator.allocateFromPool(request('e', rather), 'six')), '2001:db8::');
    assert.equal(
      texts(allocator.addFamily(request('c', rather))),
      'no available IPs in pool both for ipv4 IPFamily',
    );
    allocator.release('default/a');
    assert.equal(texts(allocator.addFamily(request('c', rather))), '2001:db8:1::1,198.51.100.1');
    assert.match(
      texts(allocator.assign(request('f', dual), [ip('192.0.2.5'), ip('2001:db8::5')])),
      /not allowed in config/,
    );
    assert.match(
      texts(allocator.assign(request('f', dual), [ip('192.0.2.5'), ip('192.0.2.6')])),
      /has the same family/,
    );
  });

  it('lets Services share by key, different ports and, with Local, the same backends', () => {
    const allocator = allocatorWith({ p: { addresses: ['192.0.2.0/24'] } });
    const get = (name: string, port: string, sharing: string, backend = ''): string =>
      texts(allocator.allocate(request(name, { ports: [port], keys: { sharing, backend } })));
    assert.equal(get('a', 'TCP/80', 'x'), '192.0.2.0');
    assert.equal(get('b', 'UDP/80', 'x'), '192.0.2.0');
    assert.equal(get('c', 'TCP/80', 'x'), '192.0.2.1');
    assert.equal(get('d', 'TCP/81', 'y'), '192.0.2.2');
    assert.equal(get('e', 'TCP/82', 'x', 'app=e'), '192.0.2.3');
    assert.equal(get('f', 'TCP/83', 'x', 'app=e'), '192.0.2.3');
    assert.equal(get('g', 'TCP/84', ''), '192.0.2.4');
    const at = (name: string, port: string, sharing: string): string =>
      texts(
        allocator.assign(request(name, { ports: [port], keys: { sharing, backend: '' } }), [ip('192.0.2.0')]),
      );
    assert.equal(at('h', 'TCP/80', 'x'), 'port TCP/80 is already in use on "192.0.2.0"');
    assert.equal(
      at('h', 'TCP/99', 'z'),
      `can't change sharing key for "default/h", address also in use by default/a,default/b`,
    );
    assert.equal(
      at('h', 'TCP/99', ''),
      `can't change sharing key for "default/h", address also in use by default/a,default/b`,
    );
    assert.equal(
      at('a', 'TCP/80', 'z'),
      `can't change sharing key for "default/a", address also in use by default/b`,
    );
    allocator.release('default/b');
    assert.equal(at('a', 'TCP/80', 'z'), '192.0.2.0', 'who is alone may change the key');
    assert.equal(at('h', 'TCP/99', 'z'), '192.0.2.0');
    assert.equal(allocator.countsOf('p')?.assignedIPv4, 5);
    assert.equal(allocator.countsOf('p')?.services, 7);
  });

  it('keeps addresses when pools are renamed, and takes those away that no pool has', () => {
    const allocator = allocatorWith({ p: { addresses: ['192.0.2.0/30'] } });
    for (const name of ['a', 'b', 'c']) allocator.allocate(request(name));
    allocator.setPools(poolsOf({ q: { addresses: ['192.0.2.1-192.0.2.9'] } }));
    assert.equal(allocator.allocationOf('default/a'), undefined);
    assert.equal(allocator.allocationOf('default/b')?.pool, 'q');
    assert.equal(allocator.countsOf('p'), undefined);
    assert.equal(allocator.countsOf('q')?.assignedIPv4, 2);
    assert.equal(texts(allocator.allocate(request('a'))), '192.0.2.3');
    assert.deepEqual(allocator.takeTouchedPools().sort(), ['p', 'q']);
  });

  it('says nothing was freed when nothing changed', () => {
    const allocator = allocatorWith({ p: { addresses: ['192.0.2.0/30'] } });
    allocator.allocate(request('a'));
    const before = allocator.freed;
    allocator.assign(request('a'), [ip('192.0.2.0')]);
    allocator.allocate(request('b'));
    assert.equal(allocator.freed, before);
    allocator.assign(request('a', { ports: ['TCP/81'] }), [ip('192.0.2.0')]);
    assert.ok(allocator.freed > before);
  });
});

/** Small pools and few Services, so that they meet. */
const layouts = [
  poolsOf({
    p: { addresses: ['192.0.2.0/29'] },
    q: { addresses: ['192.0.2.16-192.0.2.18', '2001:db8::/125'] },
  }),
  poolsOf({ p: { addresses: ['192.0.2.2-192.0.2.5', '2001:db8::4/127'] } }),
  poolsOf({
    all: { addresses: ['192.0.2.250-192.0.3.5', '2001:db8::-2001:db8::9'], avoidBuggyIPs: true },
    p: { addresses: ['192.0.2.0/29'], autoAssign: false },
  }),
  poolsOf({
    p: {
      addresses: ['192.0.2.0/30'],
      serviceAllocation: { priority: 5, serviceSelectors: [{ matchLabels: { app: 'a' } }] },
    },
    q: { addresses: ['192.0.2.4/30'], serviceAllocation: { namespaces: ['default'] } },
  }),
];

const ports = fc.uniqueArray(fc.constantFrom('TCP/80', 'UDP/80', 'TCP/443', 'TCP/25'), {
  minLength: 1,
  maxLength: 2,
});
const names = Array.from({ length: 12 }, (_, i) => `s${i}`);
const requests = fc
  .record({
    name: fc.constantFrom(...names),
    ports,
    sharing: fc.constantFrom('', '', 'x', 'y'),
    backend: fc.constantFrom('', '', 'app=z'),
    families: fc.constantFrom([4] as const, [6] as const, [4, 6] as const, [6, 4] as const),
    rather: fc.boolean(),
    app: fc.constantFrom('a', 'b'),
  })
  .map(({ name, ports: wanted, sharing, backend, families, rather, app }) =>
    request(name, {
      ports: wanted,
      keys: { sharing, backend },
      families,
      oneFamilySuffices: rather && families.length === 2,
      labels: { app },
    }),
  );
type Step =
  | { do: 'allocate'; request: AllocationRequest }
  | { do: 'from'; request: AllocationRequest; pool: string }
  | { do: 'assign'; request: AllocationRequest; address: string }
  | { do: 'release'; service: string }
  | { do: 'pools'; layout: number }
  | { do: 'restart' };
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: requests.map((one) => ({ do: 'allocate' as const, request: one })) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('from' as const),
      request: requests,
      pool: fc.constantFrom('p', 'q', 'none'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('assign' as const),
      request: requests,
      address: fc.constantFrom('192.0.2.1', '192.0.2.4', '192.0.2.17', '192.0.3.0', '2001:db8::5'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...names)
      .map((name) => ({ do: 'release' as const, service: `default/${name}` })),
  },
  { weight: 1, arbitrary: fc.nat(layouts.length - 1).map((layout) => ({ do: 'pools' as const, layout })) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

describe('whatever happens', () => {
  it('no address is given twice unless shared, none outside its pool, and a restart changes nothing', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    console.log(`SEED=${seed}`);
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 80 }), (script) => {
        let pools = layouts[0] as Pools;
        let allocator = new Allocator();
        allocator.setPools(pools);
        /** What each Service asked for when it got what it has: its spec, with the status as the memory. */
        const asked = new Map<string, AllocationRequest>();
        for (const step of script) {
          if (step.do === 'pools') {
            pools = layouts[step.layout] as Pools;
            allocator.setPools(pools);
          } else if (step.do === 'release') {
            const had = allocator.allocationOf(step.service) !== undefined;
            assert.equal(allocator.release(step.service), had);
          } else if (step.do === 'restart') {
            allocator = restarted(allocator, pools, asked);
          } else {
            const { request: one } = step;
            const had = allocator.allocationOf(one.service);
            if (step.do !== 'assign' && had) continue;
            const result =
              step.do === 'allocate'
                ? allocator.allocate(one)
                : step.do === 'from'
                  ? allocator.allocateFromPool(one, step.pool)
                  : allocator.assign(one, [ip(step.address)]);
            if ('refused' in result) assert.equal(allocator.allocationOf(one.service), had);
            else asked.set(one.service, one);
          }
          check(allocator, pools, asked);
        }
      }),
      { seed, numRuns: Number(process.env['ITERATIONS'] ?? 300) },
    );
  });
});

/** A new allocator that is told what the statuses of Services say, in an order of its own. */
function restarted(
  before: Allocator,
  pools: Pools,
  asked: ReadonlyMap<string, AllocationRequest>,
): Allocator {
  const after = new Allocator();
  after.setPools(pools);
  for (const [service, one] of [...asked].reverse()) {
    const held = before.allocationOf(service);
    if (!held || 'refused' in before.assign(one, held.addresses)) {
      before.release(service);
      continue;
    }
    const again = after.assign(one, held.addresses);
    assert.deepEqual(again, before.allocationOf(service), `${service} after a restart`);
  }
  return after;
}

function check(allocator: Allocator, pools: Pools, asked: ReadonlyMap<string, AllocationRequest>): void {
  const users = new Map<string, AllocationRequest[]>();
  const used = new Map<string, Set<string>>();
  for (const [service, one] of asked) {
    const held = allocator.allocationOf(service);
    if (!held) continue;
    const pool = pools.get(held.pool);
    assert.ok(pool, `${service} has addresses of ${held.pool}, which is no pool`);
    for (const { text, family, value } of held.addresses) {
      assert.ok(
        pool.ranges.some((range) => range.family === family && range.first <= value && value <= range.last),
        `${service} has ${text}, which is not in ${pool.name}`,
      );
      assert.ok(!pool.avoidBuggyIPs || !/\.(0|255)$/.test(text), text);
      users.set(text, [...(users.get(text) ?? []), one]);
      used.set(`${pool.name} ${family}`, (used.get(`${pool.name} ${family}`) ?? new Set()).add(text));
    }
  }
  for (const [text, [first, ...others]] of users) {
    const taken = new Set(first?.ports);
    for (const other of others) {
      assert.deepEqual(other.keys, first?.keys, `${text} is shared by different keys`);
      assert.notEqual(other.keys.sharing, '', `${text} is shared without a key`);
      for (const port of other.ports) assert.ok(!taken.has(port), `${text} has ${port} twice`);
      other.ports.forEach((port) => taken.add(port));
    }
  }
  for (const name of pools.keys()) {
    const counts = allocator.countsOf(name);
    assert.equal(counts?.assignedIPv4, used.get(`${name} 4`)?.size ?? 0);
    assert.equal(counts?.assignedIPv6, used.get(`${name} 6`)?.size ?? 0);
    assert.ok(BigInt(counts?.assignedIPv4 ?? 0) <= (counts?.capacityIPv4 ?? 0n));
  }
}
