import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { random } from '@cloudless/kube/testing/random';
import { composeZone } from './compose.ts';
import { readText, ZoneComposer } from './composer.ts';
import type { ComposedZone, WantedRecords } from './records.ts';
import { endpointsFor } from './sources/endpoint.ts';
import { wishOf } from './wanted.ts';
import { shown } from './why.ts';

const place = { source: 'test', line: 1 };
const soa = '$TTL 900\n@ IN SOA ns1 hostmaster 1 900 600 172800 60\n@ IN NS ns1\nns1 IN A 192.0.2.53\n';
const written = (extra = ''): ReturnType<typeof readText> =>
  readText({ origin: 'a.test', text: soa + extra, place }, undefined);

interface Asking {
  /** `NAME TYPE TARGET...`. */
  records: string[];
  created?: number;
  set?: string;
  ttl?: number;
}

function wanted(name: string, asking: Asking): WantedRecords[] {
  const { records, created = 1, set, ttl } = asking;
  const object = {
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      creationTimestamp: new Date(created * 1000).toISOString(),
    },
  };
  const from = { apiVersion: 'v1', kind: 'Service', namespace: 'default', name, uid: name };
  const endpoints = records.map((record) => {
    const [dnsName = '', recordType = '', ...targets] = record.split(' ');
    const isWords = recordType === 'MX' || recordType === 'SRV';
    return {
      dnsName,
      recordType,
      targets: isWords ? [targets.join(' ')] : targets,
      ttlSeconds: ttl,
      setIdentifier: set,
    };
  });
  const wish = wishOf(object, from, endpoints, { defaultTtlSeconds: 300, isManaged: () => true });
  assert.deepEqual(wish.lost, []);
  return [...wish.wanted];
}

function compose(objects: Record<string, Asking>, extra = ''): ComposedZone {
  return composeZone(
    written(extra),
    Object.entries(objects).flatMap(([name, asking]) => wanted(name, asking)),
  );
}

const lines = ({ zone }: ComposedZone): string[] =>
  [...(zone?.rrsets() ?? [])]
    .map(shown)
    .filter(
      ({ type, name }) => type !== 'SOA' && !(name === 'a.test' && type === 'NS') && name !== 'ns1.a.test',
    )
    .map(({ name, type, ttlSeconds, data }) => `${name} ${ttlSeconds} ${type} ${data.join(' ')}`);
const losses = ({ lost }: ComposedZone): Array<[string, string, string]> =>
  lost.map(({ wanted: { from }, reason, message }) => [from.name, reason, message]);

describe('a zone of its text and of objects', () => {
  it('gives what is written by hand the first place', () => {
    const zone = compose(
      { web: { records: ['www.a.test A 192.0.2.9', 'www.a.test AAAA 2001:db8::9', 'b.a.test A 192.0.2.9'] } },
      'www IN A 192.0.2.1\n',
    );
    assert.deepEqual(lines(zone), [
      'b.a.test 300 A 192.0.2.9',
      'www.a.test 900 A 192.0.2.1',
      'www.a.test 300 AAAA 2001:db8::9',
    ]);
    assert.deepEqual(losses(zone), [
      ['web', 'WrittenByHand', 'www.a.test A is written in the text of zone a.test., which counts'],
    ]);
  });

  it('gives a name to the older object, then to the first by namespace and name, in whatever order they come', () => {
    for (const [a, b, winner] of [
      [2, 1, 'b'],
      [1, 2, 'a'],
      [1, 1, 'a'],
    ] as const) {
      const asking = {
        a: { records: ['www.a.test A 192.0.2.1'], created: a },
        b: { records: ['www.a.test A 192.0.2.2'], created: b },
      };
      const zone = compose(asking);
      assert.deepEqual(
        zone.won.map(({ from }) => from.name),
        [winner],
      );
      assert.equal(zone.lost[0]?.reason, 'OlderObject');
      assert.equal(zone.lost[0]?.winner?.name, winner);
      const turned = compose({ b: asking.b, a: asking.a });
      assert.equal(turned.zone?.contentHash, zone.zone?.contentHash);
    }
  });

  it('lets two objects ask for the same, and merges sets that have identifiers, with the lower TTL', () => {
    const same = compose({
      a: { records: ['www.a.test A 192.0.2.1 192.0.2.2'] },
      b: { records: ['www.a.test A 192.0.2.2'], created: 2 },
    });
    assert.deepEqual(losses(same), []);
    assert.deepEqual(lines(same), ['www.a.test 300 A 192.0.2.1 192.0.2.2']);
    const sets = compose({
      a: { records: ['www.a.test A 192.0.2.1'], set: 'one', ttl: 60 },
      b: { records: ['www.a.test A 192.0.2.2'], set: 'two', created: 2, ttl: 30 },
      c: { records: ['www.a.test A 192.0.2.3'], created: 3 },
    });
    assert.deepEqual(lines(sets), ['www.a.test 30 A 192.0.2.1 192.0.2.2']);
    assert.deepEqual(
      losses(sets).map(([name, reason]) => [name, reason]),
      [['c', 'OlderObject']],
    );
  });

  it('has nothing beside a CNAME, and none at the top', () => {
    const zone = compose(
      {
        a: { records: ['a.test CNAME lb.example', 'x.a.test CNAME lb.example', 'hand.a.test A 192.0.2.1'] },
        b: { records: ['x.a.test A 192.0.2.1', 'ns1.a.test CNAME lb.example'], created: 2 },
        both: { records: ['y.a.test CNAME lb.example', 'y.a.test A 192.0.2.1'] },
      },
      'hand IN CNAME www.example.\n',
    );
    assert.deepEqual(lines(zone), [
      'hand.a.test 900 CNAME www.example.',
      'x.a.test 300 CNAME lb.example.',
      'y.a.test 300 A 192.0.2.1',
    ]);
    assert.deepEqual(losses(zone), [
      [
        'a',
        'CnameAndOther',
        'hand.a.test A cannot be beside the CNAME that is written in the text of zone a.test.',
      ],
      [
        'a',
        'CnameAndOther',
        'a.test is the top of its zone, where no CNAME can be (RFC 1034): give addresses as target instead of a name',
      ],
      [
        'both',
        'CnameAndOther',
        'y.a.test CNAME cannot be beside the A of the same object, which comes first',
      ],
      ['b', 'CnameAndOther', 'x.a.test A cannot be beside the CNAME of Service default/a, which comes first'],
      [
        'b',
        'CnameAndOther',
        'ns1.a.test CNAME cannot be beside the A that is written in the text of zone a.test.',
      ],
    ]);
  });

  it('has nothing below a delegation but glue, and delegates nothing that is there', () => {
    const zone = compose(
      {
        a: {
          records: [
            'www.sub.a.test A 192.0.2.1',
            'ns.sub.a.test A 192.0.2.2',
            'x.alias.a.test A 192.0.2.3',
            'alias.a.test A 192.0.2.4',
          ],
        },
        b: { records: ['team.a.test NS ns.team.a.test', 'ns.team.a.test A 192.0.2.5'], created: 2 },
        c: {
          records: ['www.team.a.test A 192.0.2.6', 'ns1.a.test NS ns.example', 'deep.a.test NS ns.example'],
          created: 3,
        },
        d: { records: ['x.deep.a.test A 192.0.2.7'], created: 2 },
      },
      'sub IN NS ns.sub\nalias IN DNAME elsewhere.example.\n',
    );
    assert.deepEqual(
      lines(zone).filter((line) => !/ (900) /.test(line)),
      [
        'alias.a.test 300 A 192.0.2.4',
        'x.deep.a.test 300 A 192.0.2.7',
        'ns.sub.a.test 300 A 192.0.2.2',
        'team.a.test 300 NS ns.team.a.test.',
        'ns.team.a.test 300 A 192.0.2.5',
      ],
    );
    assert.deepEqual(
      losses(zone).map(([name, reason, message]) => [
        name,
        reason,
        message.replace(/ cannot be served.*/, ''),
      ]),
      [
        ['a', 'BelowDelegation', 'www.sub.a.test A'],
        ['a', 'BelowDelegation', 'x.alias.a.test A'],
        [
          'c',
          'OlderObject',
          'deep.a.test NS would hide x.deep.a.test A of Service default/d, which comes first',
        ],
        [
          'c',
          'WrittenByHand',
          'ns1.a.test NS would hide ns1.a.test A, which is written in the text of zone a.test.',
        ],
        ['c', 'BelowDelegation', 'www.team.a.test A'],
      ],
    );
  });

  it('tells bad names and targets, with the remedy', () => {
    const object = { metadata: { name: 'x', namespace: 'default', uid: 'x' } };
    const from = { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'x', uid: 'x' };
    const settings = { ttlSeconds: undefined, setIdentifier: undefined };
    const reasons = (endpoints: ReturnType<typeof endpointsFor>): string[] =>
      wishOf(object, from, endpoints, { defaultTtlSeconds: 300, isManaged: () => true }).lost.map(
        ({ message }) => message,
      );
    const refused = (dnsName: string, recordType: string, ...targets: string[]): string[] =>
      reasons([{ dnsName, recordType, targets, ...settings }]);
    assert.match(refused('a..test', 'A', '192.0.2.1')[0] ?? '', /a\.\.test has an empty label/);
    assert.match(refused('bücher.test', 'A', '192.0.2.1')[0] ?? '', /xn--/);
    assert.match(refused(`${'x'.repeat(64)}.test`, 'A', '192.0.2.1')[0] ?? '', /longer than 63 octets/);
    assert.match(refused('a.test', 'A', 'nonsense')[0] ?? '', /nonsense is not an IPv4 address/);
    assert.match(refused('a.test', 'NOPE', 'x')[0] ?? '', /NOPE is no type of records/);
    assert.match(refused('a.test', 'SOA', 'x')[0] ?? '', /leave it out/);
    assert.match(refused('a.test', 'MX', 'mail')[0] ?? '', /MX/);
    assert.match(
      reasons(endpointsFor('a.test', ['b.test', 'c.test'], settings))[0] ?? '',
      /b\.test, c\.test; give addresses/,
    );
    assert.deepEqual(reasons(endpointsFor('*.a.test.', ['b.test.', '::1', '192.0.2.1'], settings)), []);
  });
});

describe('all zones', () => {
  const text = (origin: string, extra = ''): Parameters<ZoneComposer['setTexts']>[0][number] => ({
    origin,
    text: soa + extra,
    place,
  });
  const wish = (name: string, ...records: string[]): Parameters<ZoneComposer['setWish']>[1] => ({
    wanted: wanted(name, { records }),
    lost: [],
  });

  it('take a name to the longest zone, and to another one when zones come and go', () => {
    const composer = new ZoneComposer();
    composer.setTexts([text('a.test')]);
    composer.setWish('x', wish('x', 'www.sub.a.test A 192.0.2.1', 'www.b.test A 192.0.2.1'));
    composer.compose();
    assert.equal(composer.zone('a.test')?.won.length, 1);
    assert.equal([...composer.outside()].length, 1);
    assert.deepEqual(composer.setTexts([text('a.test'), text('sub.a.test'), text('b.test')]), []);
    assert.deepEqual(composer.compose().sort(), ['a.test', 'b.test', 'sub.a.test']);
    assert.deepEqual(
      ['a.test', 'sub.a.test', 'b.test'].map((origin) => composer.zone(origin)?.won.length),
      [0, 1, 1],
    );
    assert.equal([...composer.outside()].length, 0);
    assert.deepEqual(composer.setTexts([text('a.test')]), ['sub.a.test', 'b.test']);
    composer.compose();
    assert.equal(composer.zone('a.test')?.won.length, 1);
  });

  it('keep the last good text through each kind of bad one', () => {
    const composer = new ZoneComposer();
    composer.setTexts([text('a.test')]);
    const hash = composer.zone('a.test')?.zone?.contentHash;
    for (const bad of [
      'www IN A 1.2.3\n',
      '@ IN SOA ns2 x 2 1 1 1 1\n',
      'x IN CNAME y\nx IN A 192.0.2.1\n',
      '$INCLUDE no\n',
    ]) {
      composer.setTexts([text('a.test', bad)]);
      composer.compose();
      assert.equal(composer.zone('a.test')?.zone?.contentHash, hash, bad);
      assert.ok(
        composer.problems('a.test').some(({ severity }) => severity === 'error'),
        bad,
      );
    }
    composer.setTexts([{ ...text('a.test'), text: '' }]);
    assert.equal(composer.zone('a.test')?.zone?.contentHash, hash);
    composer.setTexts([text('a.test')]);
    assert.deepEqual(composer.problems('a.test'), []);
  });

  it('compose as if from nothing, after any changes in any order', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1e9);
    for (let i = 0; i < Number(process.env['ITERATIONS'] ?? 20); i++) {
      const next = random(seed + i);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
      const composer = new ZoneComposer();
      const origins = ['a.test', 'sub.a.test', 'b.test'];
      let texts: Array<ReturnType<typeof text>> = [];
      const wishes = new Map<string, ReturnType<typeof wish>>();
      for (let step = 0; step < 30; step++) {
        if (next() < 0.2) {
          texts = origins
            .filter(() => next() < 0.7)
            .map((origin) => text(origin, pick(['', 'x IN A 192.0.2.8\n', 'y IN NS ns.x\n'])));
          composer.setTexts(texts);
        } else {
          const id = pick(['1', '2', '3', '4']);
          const one =
            next() < 0.2
              ? undefined
              : wish(
                  id,
                  ...['x', 'y', 'z.y', 'sub'].map(
                    (label) =>
                      `${label}.${pick(origins)} ${pick(['A 192.0.2.1', 'A 192.0.2.2', 'CNAME t.example', 'NS ns.example'])}`,
                  ),
                );
          if (one) wishes.set(id, one);
          else wishes.delete(id);
          composer.setWish(id, one);
        }
        if (next() < 0.5) composer.compose();
      }
      composer.compose();
      const fresh = new ZoneComposer();
      for (const [id, one] of wishes) fresh.setWish(id, one);
      fresh.setTexts(texts);
      fresh.compose();
      for (const { origin, zone, lost } of composer.composed) {
        assert.equal(zone?.contentHash, fresh.zone(origin)?.zone?.contentHash, `SEED=${seed + i} ${origin}`);
        assert.equal(lost.length, fresh.zone(origin)?.lost.length, `SEED=${seed + i} ${origin}`);
      }
    }
  });
});
