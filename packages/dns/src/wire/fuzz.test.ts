import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { readCookie } from './edns.ts';
import { formErrFor, parseMessage, parseQuery, readRecords, writeAnswer, writeMessage } from './message.ts';
import { WireError } from './name.ts';
import { checkData, printData } from './rdata.ts';
import { mutatedPacket, packetNames, randomPacket, randomRecord, randomRequest } from './testing/packets.ts';

// Packets that no client sends: ITERATIONS of them (`npm run test:fuzz`: 1,000,000), SEED repeats a run.
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const packets = Number(process.env['ITERATIONS'] ?? 10) * (process.env['ITERATIONS'] === undefined ? 500 : 1);
console.log(`SEED=${seed}`);

/** Longest that any packet may keep us; a pause of the collector or another process is no packet's fault. */
const mostMs = 250;

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** What reads bytes of others: nothing but a WireError comes out, and what is read can be written again. */
function readAll(packet: Buffer): void {
  const query = attempt(() => parseQuery(packet));
  if (query) {
    attempt(() => readCookie(query.edns));
    const answer = {
      rcode: 5,
      authoritative: false,
      recursionAvailable: false,
      answers: [],
      authorities: [],
      additionals: [],
    };
    const reply = writeAnswer(query, answer, 512);
    assert.ok(reply.length <= Math.max(packet.length, 12 + query.questionBytes.length + 11));
    assert.equal(parseMessage(reply).id, query.id);
  } else {
    const reply = formErrFor(packet);
    assert.ok(reply === undefined || reply.length <= packet.length);
  }
  attempt(() => readRecords(packet));
  const message = attempt(() => parseMessage(packet));
  if (!message) return;
  for (const { type, data } of [...message.answers, ...message.authorities, ...message.additionals])
    if (attempt(() => checkData(type, data)) !== undefined) printData(type, data);
  const again = attempt(() => writeMessage(message));
  // Labels that a pointer had folded may make it longer than a message can be; then it is cut.
  if (again && !parseMessage(again).truncated)
    assert.deepEqual({ ...parseMessage(again), tsig: message.tsig }, message);
}

describe('the codec, fuzzed', () => {
  it(`${packets} packets: no crash, no hang, and nothing is answered with more than was asked`, () => {
    const random = seededRandom(seed);
    let corpus: Buffer[] = [];
    let slowest = { ms: 0, packet: '' };
    for (let i = 0; i < packets; i++) {
      if (i % 1000 === 0) corpus = makeCorpus(random);
      const packet = random() < 0.2 ? randomPacket(random) : mutatedPacket(corpus, random);
      const startedMs = performance.now();
      try {
        readAll(packet);
      } catch (error) {
        throw new Error(`packet ${i} of SEED=${seed}: ${packet.toString('hex')}`, { cause: error });
      }
      const ms = performance.now() - startedMs;
      if (ms > slowest.ms) slowest = { ms, packet: packet.toString('hex') };
    }
    assert.ok(slowest.ms < mostMs, `${slowest.ms} ms for ${slowest.packet}`);
  });

  it('the worst packets that 65,535 octets can hold are read in bounded time', () => {
    for (const [what, packet] of Object.entries(worstPackets())) {
      const startedMs = performance.now();
      attempt(() => parseQuery(packet));
      assert.ok(
        performance.now() - startedMs < mostMs,
        `${what}: ${performance.now() - startedMs} ms as a query`,
      );
      attempt(() => parseMessage(packet));
      assert.ok(performance.now() - startedMs < 2 * mostMs, `${what}: ${performance.now() - startedMs} ms`);
    }
  });
});

function makeCorpus(random: () => number): Buffer[] {
  const requests = Array.from({ length: 40 }, () => randomRequest(random, packetNames));
  const answers = Array.from({ length: 20 }, () => {
    const question = { name: 'www.example', type: 1, class: 1 };
    const records = Array.from({ length: 4 }, () => randomRecord(random, packetNames));
    return writeMessage({
      ...parseMessage(requests[0] as Buffer),
      isResponse: true,
      questions: [question],
      answers: records,
    });
  });
  return [...requests, ...answers];
}

/** As many records as fit, each with as long a name as pointers can make. */
function worstPackets(): Record<string, Buffer> {
  const header = Buffer.from([0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  const labels = Buffer.concat([
    ...Array.from({ length: 126 }, () => Buffer.of(1, 0)),
    Buffer.of(0, 0, 1, 0, 1),
  ]);
  const record = Buffer.from([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]);
  const whole = (...parts: Buffer[]): Buffer => Buffer.concat(parts).subarray(0, 65_535);
  const chain = Buffer.alloc(250);
  for (let i = 2; i < 250; i += 2) chain.writeUInt16BE(0xc000 | (12 + 5 + i - 2), i);
  const many = (part: Buffer): Buffer[] =>
    Array.from({ length: Math.ceil(65_535 / part.length) }, () => part);
  const last = Buffer.from(record);
  last.writeUInt16BE(0xc000 | (12 + 5 + 248), 0);
  return {
    'names of 126 labels': whole(header, labels, ...many(record)),
    'chains of pointers': whole(header, Buffer.of(0, 0, 1, 0, 1), chain, ...many(last)),
    'options without data': whole(
      Buffer.from([
        0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0xff, 0x00,
      ]),
      ...many(Buffer.of(0, 10, 0, 0)),
    ),
  };
}
