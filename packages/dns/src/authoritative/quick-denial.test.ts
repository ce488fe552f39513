import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import { systemClock } from '@cloudless/kube/clock';
import * as fc from 'fast-check';
import { zoneOfLines } from '../dnssec/testing/served-zones.ts';
import { Client } from '../server/client.ts';
import { rateBuckets } from '../server/limits/rate-limiter.ts';
import { Counters, newCounters } from '../server/metrics/counters.ts';
import { everybody, unlimited } from '../server/server.ts';
import { emptyMessage, type Message, parseMessage, plainEdns, writeMessage } from '../wire/message.ts';
import { rcode, rrType } from '../wire/types.ts';
import { zoneImage } from '../zone/image.ts';
import { AuthoritativeThread } from './thread.ts';

const lines = [
  'www A 192.0.2.1',
  'a.b.c TXT "under empty non-terminals"',
  '*.wild A 192.0.2.2',
  'cut NS ns.cut',
  'ns.cut A 192.0.2.3',
  'moved DNAME other.',
  'alias CNAME nothing.other',
];
const zones = [
  zoneOfLines('example', lines, 7),
  zoneOfLines('sub.example', ['x A 192.0.2.9'], 8),
  zoneOfLines('other', [], 9),
];

function newThread(): AuthoritativeThread {
  const thread = new AuthoritativeThread({
    settings: {
      access: everybody,
      rateLimit: unlimited,
      cookies: { current: Buffer.alloc(16), previous: undefined },
      version: undefined,
      id: undefined,
      rateBuckets: rateBuckets(),
      rateSeed: 1,
    },
    counters: new Counters(newCounters()),
    clock: systemClock,
    isReady: () => true,
  });
  for (const zone of zones)
    thread.setZone(zone.origin, { image: zoneImage(zone), signing: undefined, isExpired: false });
  return thread;
}

const client = new Client();
// From port 0 nobody asks.
client.port = 5353;

function ask(thread: AuthoritativeThread, name: string, type: number, edns: Message['edns']): Message {
  const question = writeMessage({
    ...emptyMessage,
    id: 7,
    recursionDesired: true,
    questions: [{ name, type, class: 1 }],
    edns,
  });
  const out = Buffer.alloc(70_000);
  const length = thread.respond(question, 0, question.length, client, out, 0);
  return parseMessage(out.subarray(0, length));
}

describe('quick denials', () => {
  it('say what the answer algorithm says, of any name', () => {
    const label = fc.constantFrom(
      'www',
      'a',
      'b',
      'c',
      'wild',
      'cut',
      'moved',
      'alias',
      'sub',
      'X',
      '*',
      'none',
      'q\\.r',
      'y'.repeat(63),
    );
    const origin = fc.constantFrom('example', 'Sub.Example', 'other', 'elsewhere');
    const types = fc.constantFrom(
      rrType.A,
      rrType.SOA,
      rrType.DS,
      rrType.ANY,
      rrType.OPT,
      rrType.MAILB,
      65_280,
    );
    const warm = newThread();
    for (const name of ['none1.example', 'none1.sub.example', 'none1.other'])
      ask(warm, name, rrType.A, undefined);
    fc.assert(
      fc.property(fc.array(label, { maxLength: 3 }), origin, types, fc.nat(2), (labels, zone, type, kind) => {
        const name = [...labels, zone].join('.');
        const edns = [undefined, plainEdns, { ...plainEdns, dnssecOk: true }][kind];
        assert.deepEqual(ask(warm, name, type, edns), ask(newThread(), name, type, edns));
      }),
    );
  });

  it('end with the version of the zone that they were learnt from', () => {
    const thread = newThread();
    const serial = (name: string): Buffer | undefined =>
      ask(thread, name, rrType.A, undefined).authorities[0]?.data.subarray(-20, -16);
    assert.equal(ask(thread, 'n1.other', rrType.A, undefined).rcode, rcode.nxDomain);
    assert.deepEqual(serial('n2.other'), Buffer.of(0, 0, 0, 9));
    const image = zoneImage(zoneOfLines('other', ['n4 A 192.0.2.4'], 10));
    thread.setZone('other', { image, signing: undefined, isExpired: false });
    assert.deepEqual(serial('n3.other'), Buffer.of(0, 0, 0, 10));
    assert.equal(ask(thread, 'n4.other', rrType.A, undefined).rcode, rcode.noError);
    thread.setZone('other', { image, signing: undefined, isExpired: true });
    assert.equal(ask(thread, 'n5.other', rrType.A, undefined).rcode, rcode.servFail);
  });
});
