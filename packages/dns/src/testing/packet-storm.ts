/** Throws broken packets at a running DNS server, and looks at everything that comes back. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ednsUdpSize } from '../wire/edns.ts';
import { emptyMessage, parseMessage, parseQuery, writeMessage } from '../wire/message.ts';
import { headerBytes, WireError } from '../wire/name.ts';
import { rrType } from '../wire/types.ts';
import { mutatedPacket, randomPacket, randomRequest } from '../wire/testing/packets.ts';

export interface StormTarget {
  port: number;
  /** Names that broken packets ask about. */
  names: readonly string[];
  /** A question that must be answered at any time, and the answer's data. */
  probe: { name: string; address: string };
  random: () => number;
  /** Answers by UDP are limited: probes go by TCP. */
  isLimited?: boolean;
}

export interface StormResult {
  packets: number;
  replies: number;
  bytesSent: number;
  bytesReceived: number;
}

/** Packets between two probes: few enough for the buffers of a socket. */
const batchPackets = 50;
const probeMs = 5000;
/** Ids below are the storm's, so that no late reply is taken for the probe's. */
const probeId = 60_000;

function* packetsOf({ names, random }: StormTarget, count: number): Iterable<Buffer> {
  let corpus: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    if (i % 2000 === 0) corpus = Array.from({ length: 60 }, () => randomRequest(random, names));
    const kind = random();
    // Nothing longer fits into a datagram of the loopback without being cut.
    const packet =
      kind < 0.15
        ? randomPacket(random)
        : kind < 0.3
          ? randomRequest(random, names)
          : mutatedPacket(corpus, random);
    const copy = Buffer.from(packet.subarray(0, 4000));
    if (copy.length >= 2) copy.writeUInt16BE(i % probeId, 0);
    yield copy;
  }
}

function probeQuestion(name: string, id: number): Buffer {
  return writeMessage({ ...emptyMessage, id, questions: [{ name, type: rrType.A, class: 1 }] });
}

function assertProbeAnswer(reply: Buffer, address: string): void {
  const { answers } = parseMessage(reply);
  assert.deepEqual(
    answers.map(({ data }) => data.join('.')),
    [address],
    'the server no longer answers what it must',
  );
}

/** What a client can take by UDP; what is no query gets no more than it sent. */
function mostBytes(packet: Buffer): number {
  try {
    const { edns } = parseQuery(packet);
    return edns ? Math.min(edns.udpSize, ednsUdpSize) : 512;
  } catch (error) {
    assert.ok(error instanceof WireError);
    return packet.length;
  }
}

/** A reply is a response to that packet, is DNS, and says no more than it may. */
function assertReply(packet: Buffer | undefined, reply: Buffer, most: number): void {
  assert.ok(packet, `a reply to nothing: ${reply.toString('hex')}`);
  const context = `${packet.toString('hex')} → ${reply.toString('hex')}`;
  assert.ok(packet.length >= headerBytes && reply.length >= headerBytes, context);
  assert.equal((packet[2] as number) & 0x80, 0, `a response was answered: ${context}`);
  assert.equal((reply[2] as number) & 0x80, 0x80, context);
  assert.ok(reply.length <= most, `${reply.length} octets, not ${most}: ${context}`);
  const { isResponse, opcode } = parseMessage(reply);
  assert.ok(isResponse && opcode === (((packet[2] as number) >> 3) & 0xf), context);
}

/** By UDP. Every packet has at most one reply, none longer than its client can take; probes between them are answered. */
export async function stormUdp(target: StormTarget, count: number): Promise<StormResult> {
  const socket = createSocket('udp4');
  socket.connect(target.port, '127.0.0.1');
  await new Promise((resolve) => void socket.once('connect', resolve));
  const result: StormResult = { packets: 0, replies: 0, bytesSent: 0, bytesReceived: 0 };
  /** Not answered yet, by id. */
  const sent = new Map<number, Buffer>();
  let failure: unknown;
  let probed: ((reply: Buffer) => void) | undefined;
  socket.on('error', () => {});
  socket.on('message', (reply) => {
    const id = reply.length >= 2 ? reply.readUInt16BE(0) : -1;
    if (id >= probeId) {
      probed?.(Buffer.from(reply));
      return;
    }
    try {
      const packet = sent.get(id);
      assertReply(packet, reply, packet ? mostBytes(packet) : 0);
      sent.delete(id);
      result.replies += 1;
      result.bytesReceived += reply.length;
    } catch (error) {
      failure ??= error;
    }
  });
  const probe = async (): Promise<void> => {
    if (failure) throw failure;
    if (target.isLimited) {
      await oneConnection({ ...target, random: () => 1 }, [], { ...result });
      return;
    }
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    probed = resolve;
    const question = probeQuestion(target.probe.name, probeId + Math.floor(target.random() * 5000));
    // The kernel may drop a datagram while the machine is busy.
    const again = setInterval(() => socket.send(question), 500);
    const late = setTimeout(() => resolve(undefined), probeMs);
    socket.send(question);
    const reply = await promise;
    clearInterval(again);
    clearTimeout(late);
    assert.ok(reply, `no answer to a plain question for ${probeMs} ms, after ${result.packets} packets`);
    assertProbeAnswer(reply, target.probe.address);
    if (failure) throw failure;
  };
  try {
    for (const packet of packetsOf(target, count)) {
      if (packet.length >= 2) sent.set(packet.readUInt16BE(0), packet);
      await send(socket, packet);
      result.packets += 1;
      result.bytesSent += packet.length;
      if (result.packets % batchPackets === 0) await probe();
    }
    await probe();
    return result;
  } finally {
    socket.close();
  }
}

function send(socket: Socket, packet: Buffer): Promise<void> {
  return new Promise((resolve) => socket.send(packet, () => resolve()));
}

/** By TCP: in connections of some packets, of which some end amid a message; a new connection is always answered. */
export async function stormTcp(target: StormTarget, count: number): Promise<StormResult> {
  const result: StormResult = { packets: 0, replies: 0, bytesSent: 0, bytesReceived: 0 };
  let batch: Buffer[] = [];
  const flush = async (): Promise<void> => {
    await oneConnection(target, batch, result);
    batch = [];
  };
  for (const packet of packetsOf(target, count)) {
    batch.push(packet);
    if (batch.length === batchPackets) await flush();
  }
  await flush();
  return result;
}

async function oneConnection(
  target: StormTarget,
  packets: readonly Buffer[],
  result: StormResult,
): Promise<void> {
  const { probe, random } = target;
  const sent = new Map(
    packets.filter(({ length }) => length >= 2).map((packet) => [packet.readUInt16BE(0), packet]),
  );
  const isBroken = random() < 0.2;
  const last = isBroken ? Buffer.of(0xff, 0xff, 1, 2, 3) : framed(probeQuestion(probe.name, probeId));
  const stream = Buffer.concat([...packets.map(framed), last]);
  const replies = await exchange(target.port, stream, (reply) => reply.readUInt16BE(0) === probeId);
  result.packets += packets.length;
  result.bytesSent += stream.length;
  for (const reply of replies) {
    result.bytesReceived += reply.length;
    if (reply.readUInt16BE(0) === probeId) {
      assertProbeAnswer(reply, probe.address);
      continue;
    }
    const packet = sent.get(reply.readUInt16BE(0));
    assertReply(packet, reply, 65_535);
    sent.delete(reply.readUInt16BE(0));
    result.replies += 1;
  }
  if (!isBroken && replies.some((reply) => reply.readUInt16BE(0) === probeId)) return;
  const question = framed(probeQuestion(probe.name, probeId));
  const [reply] = await exchange(target.port, question, () => true);
  assert.ok(reply, `no answer by a new connection, after ${result.packets} packets`);
  assertProbeAnswer(reply, probe.address);
}

function framed(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}

/** Sends all, and reads until `isLast`, or until the server has closed the connection or says nothing more. */
async function exchange(port: number, stream: Buffer, isLast: (reply: Buffer) => boolean): Promise<Buffer[]> {
  const socket = connect(port, '127.0.0.1');
  const replies: Buffer[] = [];
  let received: Buffer = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.on('error', () => resolve());
    socket.once('end', () => resolve());
    socket.setTimeout(probeMs, () => resolve());
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const reply = received.subarray(2, end);
        assert.ok(reply.length >= headerBytes, `a reply of ${reply.length} octets`);
        replies.push(reply);
        received = received.subarray(end);
        if (isLast(reply)) resolve();
      }
    });
    socket.end(stream);
  });
  socket.destroy();
  await pause(0);
  return replies;
}
