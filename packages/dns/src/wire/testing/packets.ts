/** Packets for fuzzers: queries, updates and answers that are right, and the same broken as networks and enemies break them. */
import { cookieOption, type EdnsOption, ednsUdpSize, keepaliveOption, nsidOption } from '../edns.ts';
import { appendRecord, emptyMessage, type Message, writeMessage } from '../message.ts';
import { parseData, tokensOf, tsigData } from '../rdata.ts';
import type { ResourceRecord } from '../record.ts';
import { ednsOption, opcode, rrClass, rrType, typeNumber } from '../types.ts';
import { goodData } from './data-corpus.ts';

type Random = () => number;

/** Owners that have parts in common, and those that have to be escaped. */
export const packetNames = [
  '',
  'example',
  'www.example',
  'WWW.Example',
  '*.example',
  'a.b.c.www.example',
  'x\\.y\\000.example',
];

export const pick = <T>(random: Random, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)] as T;
const upTo = (random: Random, most: number): number => Math.floor(random() * (most + 1));
const bytes = (random: Random, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, () => Math.floor(random() * 256)));

/** A record of any type with data that is right. */
export function randomRecord(random: Random, names: readonly string[]): ResourceRecord {
  const [mnemonic = '', ...words] = pick(random, goodData).split(' ');
  const type = typeNumber(mnemonic) ?? rrType.NULL;
  return {
    name: pick(random, names),
    type,
    ttlSeconds: upTo(random, 0x7fff_ffff),
    data: parseData(type, tokensOf(words.join(' ')), { origin: 'example' }),
  };
}

function randomOption(random: Random): EdnsOption {
  return pick<() => EdnsOption>(random, [
    () => cookieOption(bytes(random, 8), random() < 0.5 ? undefined : bytes(random, 16)),
    () => ({ code: ednsOption.padding, data: Buffer.alloc(upTo(random, 100)) }),
    () => ({ code: ednsOption.clientSubnet, data: Buffer.of(0, 1, 24, 0, 192, 0, 2) }),
    () => keepaliveOption(1000),
    () => nsidOption(''),
    () => ({ code: upTo(random, 65_535), data: bytes(random, upTo(random, 30)) }),
  ])();
}

/** A message that a client may send: mostly a question, sometimes NOTIFY, UPDATE, a transfer, something signed. */
export function randomRequest(random: Random, names: readonly string[]): Buffer {
  const types = [...Object.values(rrType), 65_280];
  const records = (most: number): ResourceRecord[] =>
    Array.from({ length: upTo(random, most) }, () => randomRecord(random, names));
  const kind =
    random() < 0.7 ? opcode.query : pick(random, [opcode.notify, opcode.update, opcode.status, 3, 15]);
  const isPlain = kind === opcode.query && random() < 0.9;
  const message: Message = {
    ...emptyMessage,
    id: upTo(random, 65_535),
    opcode: kind,
    recursionDesired: random() < 0.5,
    checkingDisabled: random() < 0.1,
    questions: [
      {
        name: pick(random, names),
        type: random() < 0.5 ? pick(random, [rrType.A, rrType.AAAA, rrType.ANY]) : pick(random, types),
        class: random() < 0.95 ? rrClass.IN : pick(random, [rrClass.CH, rrClass.NONE, rrClass.ANY, 0, 77]),
      },
    ],
    answers: isPlain ? [] : records(3),
    authorities: isPlain ? [] : records(3),
    additionals: isPlain ? [] : records(2),
    edns:
      random() < 0.4
        ? undefined
        : {
            udpSize: pick(random, [0, 512, ednsUdpSize, 4096, 65_535]),
            version: random() < 0.95 ? 0 : upTo(random, 255),
            dnssecOk: random() < 0.5,
            compactOk: random() < 0.2,
            options: Array.from({ length: upTo(random, 3) }, () => randomOption(random)),
          },
  };
  const whole = writeMessage(message);
  return random() < 0.1 ? appendRecord(whole, randomTsig(random, names)) : whole;
}

function randomTsig(random: Random, names: readonly string[]): ResourceRecord {
  const data = tsigData({
    algorithm: pick(random, ['hmac-sha256', 'hmac-md5.sig-alg.reg.int', 'none']),
    timeSigned: upTo(random, 2 ** 47),
    fudgeSeconds: 300,
    mac: bytes(random, pick(random, [0, 16, 32])),
    originalId: upTo(random, 65_535),
    error: upTo(random, 20),
    other: bytes(random, pick(random, [0, 6])),
  });
  return { name: pick(random, names), type: rrType.TSIG, class: rrClass.ANY, ttlSeconds: 0, data };
}

type Mutation = (packet: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer;

const mutations: readonly Mutation[] = [
  // A few bits.
  (packet, random) => {
    const copy = Buffer.from(packet);
    for (let times = 1 + upTo(random, 3); times > 0; times--) {
      const at = Math.floor(random() * copy.length);
      copy[at] = (copy[at] as number) ^ (1 << upTo(random, 7));
    }
    return copy;
  },
  // An octet that means a length, a pointer or nothing.
  (packet, random) => {
    const copy = Buffer.from(packet);
    copy[Math.floor(random() * copy.length)] = pick(random, [0, 1, 12, 0x3f, 0x40, 0x80, 0xc0, 0xff]);
    return copy;
  },
  // A pointer.
  (packet, random) => {
    const copy = Buffer.from(packet);
    if (copy.length > 14)
      copy.writeUInt16BE(0xc000 | upTo(random, copy.length), 12 + upTo(random, copy.length - 14));
    return copy;
  },
  // Another count in the header.
  (packet, random) => {
    const copy = Buffer.from(packet);
    if (copy.length >= 12) copy.writeUInt16BE(pick(random, [0, 1, 2, 255, 65_535]), 4 + 2 * upTo(random, 3));
    return copy;
  },
  // Cut off.
  (packet, random) => packet.subarray(0, upTo(random, packet.length)),
  // Octets too many.
  (packet, random) => Buffer.concat([packet, bytes(random, upTo(random, 60))]),
  // A part taken out.
  (packet, random) => {
    const from = upTo(random, packet.length);
    return Buffer.concat([packet.subarray(0, from), packet.subarray(from + 1 + upTo(random, 8))]);
  },
  // The head of one and the tail of another.
  (packet, random, corpus) => {
    const other = pick(random, corpus);
    return Buffer.concat([
      packet.subarray(0, upTo(random, packet.length)),
      other.subarray(upTo(random, other.length)),
    ]);
  },
];

/** One packet of the corpus, broken one to three times. */
export function mutatedPacket(corpus: readonly Buffer[], random: Random): Buffer {
  let packet = pick(random, corpus);
  for (let times = 1 + upTo(random, 2); times > 0; times--)
    if (packet.length > 0) packet = pick(random, mutations)(packet, random, corpus);
  return packet;
}

/** Random octets, mostly with the header of a question. */
export function randomPacket(random: Random): Buffer {
  const packet = bytes(random, upTo(random, 600));
  if (packet.length >= 12 && random() < 0.8)
    Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]).copy(packet, 2, 2);
  return packet;
}
