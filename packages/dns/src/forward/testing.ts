import { createSocket, type Socket } from 'node:dgram';
import dnsPacket, { type Packet } from 'dns-packet';
import { Registry } from 'prom-client';
import type { ForwardConfig, UpstreamConfig } from '../corefile/config.ts';
import { readCorefile } from '../corefile/read.ts';
import { type ForwardedAnswer, writeForwarded } from './forwarded-answer.ts';
import { type Forwarder, startForwarder } from './forwarder.ts';
import { forwardMetrics } from './metrics.ts';
import type { ForwardedQuestion } from './question.ts';
import { parseQuery } from '../wire/message.ts';

/** What `forward . TO { options }` asks for. */
export function forwardConfig(to: readonly UpstreamConfig[], options = ''): ForwardConfig {
  const { servers } = readCorefile(`. {\nforward . 192.0.2.1 {\npolicy sequential\n${options}\n}\n}`);
  return { ...(servers[0]?.forwards[0] as ForwardConfig), to };
}

export const at = (port: number, host = '127.0.0.1'): UpstreamConfig => ({
  host,
  port,
  transport: 'dns',
  serverName: undefined,
});

export const silentLog = { info: () => {}, warn: () => {}, error: () => {} };

export const forwarderTo = (to: readonly UpstreamConfig[], options = ''): Forwarder =>
  startForwarder({
    config: forwardConfig(to, options),
    own: new Set(),
    metrics: forwardMetrics(new Registry()),
    log: silentLog,
  });

/** A question in wire form, recursion desired. */
export function questionOf(name: string, type = 'A'): ForwardedQuestion {
  const query = dnsPacket.encode({ type: 'query', id: 0, questions: [{ type: type as 'A', name }] });
  return { bytes: query.subarray(12), recursionDesired: true, checkingDisabled: false, dnssecOk: false };
}

/** An answer as a client with id 7 would see it. */
export function decoded(question: ForwardedQuestion, answer: ForwardedAnswer): Packet & { rcode: string } {
  const query = parseQuery(Buffer.concat([Buffer.of(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), question.bytes]));
  const told = { maxBytes: 65535, ageSeconds: 0, lifetimeSeconds: 86400 };
  return dnsPacket.decode(writeForwarded(query, answer, told)) as unknown as Packet & { rcode: string };
}

/** An answer to `message`, changed by `more`. */
export function answerTo(message: Buffer, more: Partial<Packet> = {}): Buffer {
  const asked = dnsPacket.decode(message);
  const name = asked.questions?.[0]?.name ?? '';
  return dnsPacket.encode({
    type: 'response',
    id: asked.id ?? 0,
    questions: asked.questions ?? [],
    answers: [{ type: 'A', name, ttl: 60, data: '198.51.100.7' }],
    ...more,
  });
}

/** A server on loopback. `reply` gets each query and the way to send. */
export async function serve(
  reply: (query: Buffer, send: (answer: Buffer) => void, fromPort: number) => void,
  port = 0,
): Promise<{ config: UpstreamConfig; socket: Socket }> {
  const socket = createSocket('udp4');
  socket.on('message', (message, peer) =>
    reply(message, (answer) => socket.send(answer, peer.port, peer.address), peer.port),
  );
  await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
  return { config: at(socket.address().port), socket };
}
