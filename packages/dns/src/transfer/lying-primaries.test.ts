import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Request, RequestHandler } from '../server/request.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { rrType } from '../wire/types.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { Zone } from '../zone/zone.ts';
import type { TsigKey } from './keys.ts';
import { wholeZone } from './outgoing.ts';
import { type Secondaries, startSecondaries } from './secondaries.ts';
import { LogRecord } from './testing/log-record.ts';
import { until } from './testing/loopback.ts';
import { startRequestServer } from './testing/request-server.ts';
import { testZone } from './testing/test-zones.ts';
import { VerifiedRequest } from './verified-request.ts';

const key: TsigKey = { name: 'k.example', algorithm: 'hmac-sha256', secret: Buffer.from('some secret') };
const origin = 'zone.example';

/** What a primary says: the serial of its SOA, and the messages of a transfer, which it may spoil. */
interface Script {
  serial(): number;
  transfer(verified: VerifiedRequest, request: Request): AsyncGenerator<Buffer>;
}

function primaryOf(script: Script): RequestHandler {
  return (request) => {
    const verified = VerifiedRequest.open(request.message, [key], request.peer, systemClock);
    assert.equal(verified.signature.kind, 'valid');
    const type = verified.message.questions[0]?.type;
    if (type !== rrType.SOA) return script.transfer(verified, request);
    const { soa } = testZone(origin, script.serial());
    return Promise.resolve(verified.reply({ authoritative: true, answers: recordsOf(soa) }));
  };
}

const recordsIn = (zone: Zone): ResourceRecord[] => [...wholeZone(zone).records];

describe('a secondary of primaries that fail or lie', () => {
  const parts: Running[] = [];
  afterEach(async () => {
    for (const part of parts.splice(0).reverse()) await part.stop();
  });

  /** A secondary of this primary; one that holds serial 10 has it from there. */
  async function start(
    script: Script,
    limits: { maxRecords?: number; maxBytes?: number; idleMs?: number } = {},
  ): Promise<{ zones: ZoneRegistry; record: LogRecord; secondaries: Secondaries; name: string }> {
    const server = await startRequestServer(primaryOf(script));
    const zones = new ZoneRegistry();
    const record = new LogRecord();
    const primaries = [{ address: '127.0.0.1', port: server.port, key: key.name }];
    const config = { tsigKeys: [key], secondaries: new Map([[origin, { primaries }]]) };
    const secondaries = startSecondaries({
      zones,
      config: () => config,
      limits,
      log: record.log,
      clock: systemClock,
    });
    parts.push(server, secondaries);
    return { zones, record, secondaries, name: `127.0.0.1:${server.port}` };
  }

  const lies: Array<{ name: string; why: RegExp; limits?: object; transfer: Script['transfer'] }> = [
    {
      name: 'ends before the last SOA',
      why: /ended before its last SOA/,
      async *transfer(verified) {
        yield verified.reply({ answers: recordsIn(testZone(origin, 11)).slice(0, -1) });
        throw new Error('the connection is closed');
      },
    },
    {
      name: 'cuts a message off',
      why: /record is cut off/,
      async *transfer(verified, request) {
        const whole = verified.reply({ answers: recordsIn(testZone(origin, 11)) });
        yield whole.subarray(0, 40);
        request.signal.throwIfAborted();
      },
    },
    {
      name: 'signs a message in the middle with another key',
      why: /BADSIG/,
      async *transfer(verified) {
        const records = recordsIn(testZone(origin, 11));
        yield verified.reply({ answers: records.slice(0, 2) });
        const spoiled = verified.reply({ answers: records.slice(2) });
        spoiled[spoiled.length - 10] = (spoiled[spoiled.length - 10] as number) ^ 1;
        yield spoiled;
      },
    },
    {
      name: 'leaves the last message unsigned',
      why: /not signed/,
      async *transfer(verified) {
        const records = recordsIn(testZone(origin, 11));
        yield verified.reply({ answers: records.slice(0, 2) });
        yield verified.write({ answers: records.slice(2) });
      },
    },
    {
      name: 'ends with the SOA of another version',
      why: /begins with serial 11 and ends with another SOA, of 12/,
      async *transfer(verified) {
        const records = recordsIn(testZone(origin, 11)).slice(0, -1);
        yield verified.reply({ answers: [...records, ...recordsOf(testZone(origin, 12).soa)] });
      },
    },
    {
      name: 'sends records without end',
      why: /more than 100 records/,
      limits: { maxRecords: 100 },
      async *transfer(verified, { signal }) {
        const [soa, ns, a] = recordsIn(testZone(origin, 11)) as [
          ResourceRecord,
          ResourceRecord,
          ResourceRecord,
        ];
        yield verified.reply({ answers: [soa, ns] });
        for (let i = 0; !signal.aborted; i++)
          yield verified.reply({ answers: [{ ...a, name: `h${i}.${origin}` }] });
      },
    },
    {
      name: 'sends octets without end',
      why: /more than 20000 octets/,
      limits: { maxBytes: 20_000 },
      async *transfer(verified, { signal }) {
        const [soa, , a] = recordsIn(testZone(origin, 11)) as [
          ResourceRecord,
          ResourceRecord,
          ResourceRecord,
        ];
        yield verified.reply({ answers: [soa] });
        while (!signal.aborted) yield verified.reply({ answers: Array<ResourceRecord>(100).fill(a) });
      },
    },
    {
      name: 'falls silent',
      why: /said nothing for/,
      limits: { idleMs: 50 },
      async *transfer(verified, { signal }) {
        yield verified.reply({ answers: recordsIn(testZone(origin, 11)).slice(0, 2) });
        await new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => resolve(), { once: true }),
        );
      },
    },
    {
      name: 'sends a lower serial than its SOA says',
      why: /sent serial 9, lower than 10/,
      async *transfer(verified) {
        yield verified.reply({ answers: recordsIn(testZone(origin, 9)) });
      },
    },
    {
      name: 'sends a zone without NS records',
      why: /no NS record/,
      async *transfer(verified) {
        yield verified.reply({
          answers: recordsIn(testZone(origin, 11)).filter(({ type }) => type !== rrType.NS),
        });
      },
    },
    {
      name: 'sends an address of three octets',
      why: /zone\.example\. A is bad/,
      async *transfer(verified) {
        const broken = recordsIn(testZone(origin, 11)).map((record) =>
          record.type === rrType.A ? { ...record, data: record.data.subarray(1) } : record,
        );
        yield verified.reply({ answers: broken });
      },
    },
    {
      name: 'refuses',
      why: /it answers REFUSED/,
      async *transfer(verified) {
        yield verified.reply({ rcode: 5 });
      },
    },
  ];

  for (const lie of lies)
    it(`keeps what it has from one that ${lie.name}, and names it`, async () => {
      let serial = 10;
      const script: Script = {
        serial: () => serial,
        async *transfer(verified, request) {
          if (serial === 10)
            yield verified.reply({ answers: recordsIn(testZone(origin, 10, 'old A 192.0.2.9')) });
          // By difference or whole: it lies in both.
          else yield* lie.transfer(verified, request);
        },
      };
      const { zones, record, secondaries, name } = await start(script, lie.limits);
      await until(
        () => zones.all.get(origin)?.zone.serial === 10,
        () => record.lines.join('\n'),
      );
      serial = 11;
      secondaries.notified(origin, '127.0.0.1');
      await until(
        () => record.lines.some((line) => line.startsWith('warn')),
        () => record.lines.join('\n'),
      );
      const warning = record.lines.find((line) => line.startsWith('warn')) ?? '';
      assert.match(warning, lie.why);
      assert.ok(warning.includes(name), warning);
      assert.doesNotMatch(record.lines.join(), /some secret/);
      const served = zones.all.get(origin);
      assert.ok(served?.zone.serial === 10 && served.zone.node(`old.${origin}`));
      assert.match(secondaries.status()[0]?.error ?? '', lie.why);
    });

  it('keeps what it has when the serial goes back', async () => {
    let serial = 10;
    const { zones, record, secondaries } = await start({
      serial: () => serial,
      async *transfer(verified) {
        yield verified.reply({ answers: recordsIn(testZone(origin, serial)) });
      },
    });
    await until(
      () => zones.all.get(origin)?.zone.serial === 10,
      () => record.lines.join('\n'),
    );
    serial = 5;
    secondaries.notified(origin, '127.0.0.1');
    await until(
      () => record.has(/serial 5 is lower than 10/),
      () => record.lines.join('\n'),
    );
    assert.equal(zones.all.get(origin)?.zone.serial, 10);
  });

  it('asks for the whole zone when a difference does not fit, and leaves out what is outside', async () => {
    let serial = 10;
    const { zones, record, secondaries } = await start({
      serial: () => serial,
      async *transfer(verified) {
        const isIxfr = verified.message.questions[0]?.type === rrType.IXFR;
        const [from, to] = [testZone(origin, 10), testZone(origin, 11)].map((zone) => recordsOf(zone.soa));
        if (isIxfr) {
          const gone = { name: `gone.${origin}`, type: rrType.A, ttlSeconds: 1, data: Buffer.of(1, 2, 3, 4) };
          yield verified.reply({
            answers: [...(to ?? []), ...(from ?? []), gone, ...(to ?? []), ...(to ?? [])],
          });
          return;
        }
        const [soa, ...rest] = recordsIn(testZone(origin, serial, 'new A 192.0.2.3')) as [ResourceRecord];
        const outside = { name: 'example', type: rrType.A, ttlSeconds: 1, data: Buffer.of(1, 2, 3, 4) };
        yield verified.reply({ answers: [soa, outside, ...rest] });
      },
    });
    await until(
      () => zones.all.get(origin)?.zone.serial === 10,
      () => record.lines.join('\n'),
    );
    serial = 11;
    secondaries.notified(origin, '127.0.0.1');
    await until(
      () => zones.all.get(origin)?.zone.serial === 11,
      () => record.lines.join('\n'),
    );
    assert.ok(record.has(/takes away a A record of gone\.zone\.example\., which is not there/));
    assert.ok(record.has(/outside of the zone: they are left out/));
    assert.ok(zones.all.get(origin)?.zone.node(`new.${origin}`));
  });
});
