import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { BgpAdvertisement, BgpCommunity } from '../config/config.ts';
import { type AdvertisedService, aggregate, routesForPeers } from './routes.ts';

const advertisement = (overrides: Partial<BgpAdvertisement> = {}): BgpAdvertisement => ({
  name: 'ad',
  aggregationLength: 32,
  aggregationLengthV6: 128,
  localPref: 0,
  communities: [],
  peers: [],
  nodeSelectors: [],
  serviceSelectors: [],
  ...overrides,
});
const service = (
  key: string,
  addresses: string[],
  ...advertisements: Array<Partial<BgpAdvertisement>>
): AdvertisedService => ({
  key,
  addresses,
  advertisements: (advertisements.length === 0 ? [{}] : advertisements).map((one) => advertisement(one)),
});
const standard = (high: number, low: number): BgpCommunity => ({ type: 'standard', high, low });
const peers = [{ name: 'left' }, { name: 'right' }];
const prefixes = (services: AdvertisedService[], peer = 'left') =>
  routesForPeers(services, peers)
    .routes.get(peer)
    ?.map(({ prefix }) => prefix);

describe('routes of a peer', () => {
  it('an address is a route of its own unless aggregated, by family', () => {
    assert.deepEqual(prefixes([service('a/one', ['192.0.2.9', '2001:db8::9'])]), [
      '192.0.2.9/32',
      '2001:db8::9/128',
    ]);
    const lengths = { aggregationLength: 26, aggregationLengthV6: 64 };
    assert.deepEqual(prefixes([service('a/one', ['192.0.2.99', '2001:db8:0:1::9'], lengths)]), [
      '192.0.2.64/26',
      '2001:db8:0:1::/64',
    ]);
  });

  it('an aggregate is one route as long as one Service is in it', () => {
    const one = service('a/one', ['192.0.2.1'], { aggregationLength: 24 });
    const two = service('a/two', ['192.0.2.2'], { aggregationLength: 24 });
    assert.deepEqual(prefixes([one, two]), ['192.0.2.0/24']);
    assert.deepEqual(prefixes([two]), ['192.0.2.0/24']);
    assert.deepEqual(prefixes([]), []);
  });

  it('several advertisements of one Service: an aggregate beside the address itself', () => {
    const both = service(
      'a/one',
      ['192.0.2.1'],
      { name: 'host', localPref: 100, communities: [{ type: 'large', global: 1, local1: 2, local2: 3 }] },
      { name: 'net', localPref: 200, aggregationLength: 24 },
    );
    const { routes, refused } = routesForPeers([both], peers);
    assert.deepEqual(routes.get('left'), [
      {
        prefix: '192.0.2.1/32',
        localPref: 100,
        communities: [{ type: 'large', global: 1, local1: 2, local2: 3 }],
      },
      { prefix: '192.0.2.0/24', localPref: 200, communities: [] },
    ]);
    assert.equal(refused.size, 0);
  });

  it('a shared prefix has the communities of all, each once', () => {
    const { routes } = routesForPeers(
      [
        service('a/one', ['192.0.2.1'], {
          aggregationLength: 24,
          communities: [standard(2, 2), standard(1, 1)],
        }),
        service('a/two', ['192.0.2.2'], {
          aggregationLength: 24,
          communities: [standard(1, 1), standard(3, 3)],
        }),
      ],
      peers,
    );
    assert.deepEqual(routes.get('left')?.[0]?.communities, [standard(1, 1), standard(2, 2), standard(3, 3)]);
  });

  it('an advertisement that names peers is for them alone', () => {
    const { routes, peersOf } = routesForPeers(
      [service('a/one', ['192.0.2.1'], { peers: ['right', 'absent'] }), service('a/two', ['192.0.2.2'])],
      peers,
    );
    assert.deepEqual(
      routes.get('left')?.map(({ prefix }) => prefix),
      ['192.0.2.2/32'],
    );
    assert.deepEqual(
      routes.get('right')?.map(({ prefix }) => prefix),
      ['192.0.2.1/32', '192.0.2.2/32'],
    );
    assert.deepEqual(
      [...peersOf],
      [
        ['a/one', ['right']],
        ['a/two', ['left', 'right']],
      ],
    );
  });

  it('a Service whose advertisements contradict each other is told to nobody', () => {
    const { routes, refused } = routesForPeers(
      [
        service('a/one', ['192.0.2.1'], { name: 'low', localPref: 100 }, { name: 'high', localPref: 200 }),
        service('a/two', ['192.0.2.2']),
      ],
      peers,
    );
    assert.deepEqual(
      routes.get('left')?.map(({ prefix }) => prefix),
      ['192.0.2.2/32'],
    );
    assert.deepEqual(
      [...refused],
      [
        [
          'a/one',
          'BGPAdvertisements low and high have different localPref (100 and 200) for 192.0.2.1/32 to peer left',
        ],
      ],
    );
  });

  it('different local preferences to different peers do not contradict each other', () => {
    const { routes, refused } = routesForPeers(
      [
        service(
          'a/one',
          ['192.0.2.1'],
          { name: 'low', localPref: 100, peers: ['left'] },
          { name: 'high', localPref: 200, peers: ['right'] },
        ),
      ],
      peers,
    );
    assert.equal(refused.size, 0);
    assert.equal(routes.get('left')?.[0]?.localPref, 100);
    assert.equal(routes.get('right')?.[0]?.localPref, 200);
  });

  it('of two Services that share an aggregate the second to contradict is refused, whatever their order', () => {
    const one = service('a/one', ['192.0.2.1'], { name: 'first', aggregationLength: 24, localPref: 100 });
    const two = service('a/two', ['192.0.2.2'], { name: 'second', aggregationLength: 24, localPref: 200 });
    for (const services of [
      [one, two],
      [two, one],
    ]) {
      const { routes, refused } = routesForPeers(services, peers);
      assert.equal(routes.get('left')?.[0]?.localPref, 100);
      assert.deepEqual(
        [...refused],
        [
          [
            'a/two',
            'BGPAdvertisements first and second have different localPref (100 and 200) for 192.0.2.0/24 to peer left,' +
              ' which Service a/one shares',
          ],
        ],
      );
    }
  });

  it('any address lies in its aggregate, and addresses with the same leading bits have the same', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (a, b, length) => {
        const number = (address: string) =>
          address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
        const lengths = { aggregationLength: length, aggregationLengthV6: 128 };
        const shift = BigInt(32 - length);
        const same = number(a) >> shift === number(b) >> shift;
        assert.equal(aggregate(a, lengths) === aggregate(b, lengths), same);
        const [network = ''] = aggregate(a, lengths).split('/');
        assert.equal(number(network), (number(a) >> shift) << shift);
      }),
    );
  });
});
