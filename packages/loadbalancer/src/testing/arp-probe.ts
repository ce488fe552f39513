/**
 * A client of the segment that asks by raw frames and measures when the answers come: `node arp-probe.ts INTERFACE`.
 * Commands and answers are lines of JSON. It waits in poll(2) alone, so that its times are the wire's.
 */
import { createInterface } from 'node:readline';
import { arpOperation, encodeArp, gratuitousArp, parseArp } from '../layer2/arp.ts';
import { broadcastMac, etherType } from '../layer2/ethernet.ts';
import {
  encodeSolicitation,
  multicastMac,
  parseNeighborMessage,
  solicitedNodeGroup,
  unsolicitedAdvertisement,
} from '../layer2/ndp.ts';
import { RouteSocket } from '../layer2/netlink-socket.ts';
import { addressBytes, addressText, macText } from '../socket/address.ts';
import { intBytes, libc, linux } from '@cloudless/kube/native/libc';
import { bpf, openPacketSocket, type PacketSocket } from '../socket/packet-socket.ts';
import { seededFrames } from './frame-mutations.ts';

export type ProbeCommand =
  /** Asks for each address in turn, `count` times, and waits for each answer for up to `timeoutMs`. */
  | {
      readonly kind: 'ask';
      readonly addresses: readonly string[];
      readonly count: number;
      readonly timeoutMs: number;
      /** Between two questions. */
      readonly pauseMs?: number;
      /** A probe for duplicates: without an address of the asker's own. */
      readonly probe?: boolean;
      /** Asks this station alone. */
      readonly to?: string;
      /** An 802.1Q tag in front. */
      readonly vlan?: number;
    }
  /** Sends spoiled frames as fast as it can. */
  | { readonly kind: 'spoil'; readonly seed: number; readonly frames: number }
  /** Announces addresses as its own, and listens for 300 ms. */
  | { readonly kind: 'claim'; readonly addresses: readonly string[]; readonly times: number }
  /** Listens: how many answers and announcements are heard in `ms`. */
  | { readonly kind: 'listen'; readonly ms: number };

export interface Heard {
  readonly address: string;
  readonly mac: string;
  /** Sent to everyone: an announcement, or an answer to an IPv6 probe for duplicates. */
  readonly toAll: boolean;
  /** Milliseconds from the start of the command, or from the question. */
  readonly atMs: number;
}

export interface ProbeAnswer {
  /** The answers to questions, in order; null: none in time. */
  readonly answers: ReadonlyArray<Heard | null>;
  /** Everything else that was heard meanwhile. */
  readonly others: readonly Heard[];
}

const interfaceName = process.argv[2] ?? 'eth0';
const routes = new RouteSocket();
const table = routes.read();
const link = table.links.find(({ name }) => name === interfaceName);
if (link === undefined) throw new Error(`no interface ${interfaceName}`);
const ownAddress = (bytes: number): Uint8Array =>
  table.addresses.find((own) => own.index === link.index && own.address.length === bytes)?.address ??
  new Uint8Array(bytes);
const everything = [[bpf.return, 0, 0, 0xffff_ffff]] as const;
const sockets = [etherType.arp, etherType.ipv6].map((type) => openPacketSocket(link.index, type, everything));
const allNodesMac = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
for (const socket of sockets) {
  libc().setsockopt(socket.fd, linux.SOL_SOCKET, linux.SO_RCVBUF, intBytes(4 << 20), 4);
  socket.join(allNodesMac);
}
const pollfds = new Uint8Array(new Int32Array(sockets.flatMap(({ fd }) => [fd, linux.POLLIN])).buffer);

/** Answers and announcements that wait. */
function hear(startMs: number): Heard[] {
  return sockets.flatMap((socket) => {
    const heard: Heard[] = [];
    for (let frame = socket.receive(); frame !== undefined; frame = socket.receive()) {
      const atMs = performance.now() - startMs;
      const toAll = ((frame[0] as number) & 1) !== 0;
      const arp = parseArp(frame);
      const message = parseNeighborMessage(frame);
      if (arp !== undefined && (arp.operation === arpOperation.reply || same(arp.senderIp, arp.targetIp)))
        heard.push({ address: addressText(arp.senderIp), mac: macText(arp.senderMac), toAll, atMs });
      if (message?.kind === 'advertisement')
        heard.push({
          address: addressText(message.target),
          mac: macText(message.linkAddress ?? frame),
          toAll,
          atMs,
        });
    }
    return heard;
  });
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function waitMs(ms: number): void {
  libc().poll(pollfds, sockets.length, Math.max(0, Math.ceil(ms)));
}

type Ask = Extract<ProbeCommand, { kind: 'ask' }>;

function question(address: string, ask: Ask): [PacketSocket, Uint8Array] {
  const target = addressBytes(address);
  const [arp, ndp] = sockets as [PacketSocket, PacketSocket];
  const to =
    ask.to === undefined
      ? undefined
      : Uint8Array.from(ask.to.split(':'), (part) => Number.parseInt(part, 16));
  const own = ask.probe === true ? new Uint8Array(target.length) : ownAddress(target.length);
  const mac = (link as { mac: Uint8Array }).mac;
  const frame =
    target.length === 4
      ? encodeArp(to ?? broadcastMac, {
          operation: arpOperation.request,
          senderMac: mac,
          senderIp: own,
          targetMac: new Uint8Array(6),
          targetIp: target,
        })
      : encodeSolicitation({
          source: own,
          destination: to === undefined ? solicitedNodeGroup(target) : target,
          destinationMac: to ?? multicastMac(solicitedNodeGroup(target)),
          target,
          mac,
        });
  if (ask.vlan === undefined) return [target.length === 4 ? arp : ndp, frame];
  const tagged = new Uint8Array(frame.length + 4);
  tagged.set(frame.subarray(0, 12));
  tagged.set([0x81, 0, ask.vlan >> 8, ask.vlan & 0xff], 12);
  tagged.set(frame.subarray(12), 16);
  return [target.length === 4 ? arp : ndp, tagged];
}

function ask(command: Ask): ProbeAnswer {
  const answers: Array<Heard | null> = [];
  const others: Heard[] = [];
  for (let i = 0; i < command.count; i++)
    for (const address of command.addresses) {
      others.push(...hear(performance.now()));
      const [socket, frame] = question(address, command);
      const answersProbe = command.probe === true && address.includes(':');
      const startMs = performance.now();
      socket.send(frame);
      let answer: Heard | undefined;
      while (answer === undefined && performance.now() - startMs < command.timeoutMs) {
        waitMs(command.timeoutMs - (performance.now() - startMs));
        for (const heard of hear(startMs))
          if (answer === undefined && heard.address === address && (!heard.toAll || answersProbe))
            answer = heard;
          else others.push(heard);
      }
      answers.push(answer ?? null);
      if (command.pauseMs !== undefined) libc().poll(pollfds, 0, command.pauseMs);
    }
  return { answers, others };
}

function listen(ms: number): ProbeAnswer {
  const startMs = performance.now();
  const others: Heard[] = [];
  while (performance.now() - startMs < ms) {
    waitMs(ms - (performance.now() - startMs));
    others.push(...hear(startMs));
  }
  return { answers: [], others };
}

function claim(addresses: readonly string[], times: number): ProbeAnswer {
  const [arp, ndp] = sockets as [PacketSocket, PacketSocket];
  const mac = (link as { mac: Uint8Array }).mac;
  for (let i = 0; i < times; i++)
    for (const address of addresses) {
      const bytes = addressBytes(address);
      if (bytes.length === 4) for (const frame of gratuitousArp(bytes, mac)) arp.send(frame);
      else ndp.send(unsolicitedAdvertisement(bytes, mac));
    }
  return listen(300);
}

function spoil(seed: number, frames: number): ProbeAnswer {
  const next = seededFrames(seed);
  const [arp, ndp] = sockets as [PacketSocket, PacketSocket];
  const startMs = performance.now();
  const others: Heard[] = [];
  for (let i = 0; i < frames; i++) {
    const frame = next();
    if (frame.length >= 14) (i % 2 === 0 ? arp : ndp).send(frame);
    if (i % 64 === 0) others.push(...hear(startMs));
  }
  return { answers: [], others: [...others, ...listen(300).others] };
}

function carryOut(command: ProbeCommand): ProbeAnswer {
  switch (command.kind) {
    case 'ask':
      return ask(command);
    case 'listen':
      return listen(command.ms);
    case 'claim':
      return claim(command.addresses, command.times);
    default:
      return spoil(command.seed, command.frames);
  }
}

process.stdout.write('"ready"\n');
for await (const line of createInterface(process.stdin)) {
  const command = JSON.parse(line) as ProbeCommand;
  // What came in between two commands is nobody's.
  hear(0);
  const answer = carryOut(command);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
