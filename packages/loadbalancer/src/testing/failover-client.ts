/**
 * A client of virtual addresses, in a network namespace: `node failover-client.ts OPTIONS`. Its kernel sends a numbered UDP
 * datagram to each address every few milliseconds, pings it, and takes the echoes; beside, a raw socket asks for each address by ARP and
 * writes down who says to have it. All times are CLOCK_BOOTTIME's milliseconds, the same in every process. It waits in
 * poll(2) alone. A line of input asks for what was seen since the last one.
 */
import { createInterface } from 'node:readline';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { arpOperation, encodeArp, parseArp } from '../layer2/arp.ts';
import { broadcastMac, etherType } from '../layer2/ethernet.ts';
import { RouteSocket } from '../layer2/netlink-socket.ts';
import { addressBytes, addressText, macText } from '../socket/address.ts';
import { bootTimeMs, checked, libc, linux } from '@cloudless/kube/native/libc';
import { bpf, openPacketSocket } from '../socket/packet-socket.ts';
import { openUdpSocket, sockaddr } from '../socket/udp-socket.ts';

export interface FailoverClientOptions {
  /** IPv4. */
  readonly address: string;
  readonly virtualAddresses: readonly string[];
  readonly port: number;
  readonly everyMs: number;
  /** Between two ARP requests for an address; Infinity (null in JSON): never. */
  readonly askEveryMs: number | null;
}

export interface Answered {
  readonly sentMs: number;
  readonly heardMs: number;
  readonly by: string;
}

/** What a client saw. */
export interface Sighting {
  /** Datagrams that were answered: when they were sent, when the answer came, and from which host; by address. */
  readonly answered: Readonly<Record<string, readonly Answered[]>>;
  /** When echoes of ping came, by address. */
  readonly pings: Readonly<Record<string, readonly number[]>>;
  /** Who said to have an address: answers to requests, and announcements. */
  readonly claims: ReadonlyArray<{
    readonly address: string;
    readonly mac: string;
    readonly atMs: number;
    readonly answer: boolean;
  }>;
}

const pingEveryMs = 50;

if (isMainThread) {
  const options = JSON.parse(process.argv[2] ?? '{}') as FailoverClientOptions;
  const worker = new Worker(new URL(import.meta.url), { workerData: options });
  worker.on('message', (seen: Sighting) => void process.stdout.write(`${JSON.stringify(seen)}\n`));
  process.stdout.write('"ready"\n');
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  for await (const _ of createInterface(process.stdin)) worker.postMessage('take');
  process.kill(process.pid, 'SIGKILL');
} else await watch(workerData as FailoverClientOptions);

/** A raw socket that sends echo requests and hears echoes (RFC 792). */
function openPing(): { fd: number; ask(address: string): void; heard(): string | undefined } {
  const c = libc();
  const icmp = 1;
  const fd = checked(c.socket(linux.AF_INET, linux.SOCK_RAW | linux.SOCK_NONBLOCK, icmp), 'socket', 'ping');
  // Type 8, code 0, identifier and sequence 0: the checksum is what makes the sum all ones.
  const request = Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0);
  const packet = new Uint8Array(1500);
  return {
    fd,
    ask: (address) => void c.sendto(fd, request, request.length, 0, ...sockaddr(address, 0)),
    heard() {
      for (;;) {
        const length = c.recv(fd, packet, packet.length, 0);
        if (length <= 0) return undefined;
        const header = ((packet[0] as number) & 15) * 4;
        if (packet[header] === 0) return addressText(packet.slice(12, 16));
      }
    },
  };
}

function answerOf(data: Buffer): Answered {
  return { sentMs: data.readDoubleBE(), heardMs: bootTimeMs(), by: data.toString('utf8', 8) };
}

async function watch(options: FailoverClientOptions): Promise<void> {
  const { port, everyMs, virtualAddresses } = options;
  const askEveryMs = options.askEveryMs ?? Infinity;
  const udp = openUdpSocket(options.address, 0);
  const routes = new RouteSocket();
  const table = routes.read();
  const link = table.links.find(({ name }) => name === 'eth0');
  if (!link) throw new Error('the client has no eth0');
  const arp = openPacketSocket(link.index, etherType.arp, [[bpf.return, 0, 0, 0xffff_ffff]]);
  const ping = openPing();
  const fds = [udp.fd, arp.fd, ping.fd];
  const pollfds = new Uint8Array(new Int32Array(fds.flatMap((fd) => [fd, linux.POLLIN])).buffer);
  let pings: Record<string, number[]> = {};
  let answered: Record<string, Answered[]> = {};
  let claims: Array<Sighting['claims'][number]> = [];
  const forget = (): void => {
    answered = Object.fromEntries(virtualAddresses.map((address) => [address, []]));
    pings = Object.fromEntries(virtualAddresses.map((address) => [address, []]));
    claims = [];
  };
  forget();
  let wanted = false;
  parentPort?.on('message', () => (wanted = true));
  const wants = new Set(virtualAddresses);
  const message = Buffer.alloc(8);
  let nextSendMs = bootTimeMs();
  let nextAskMs = nextSendMs;
  let nextPingMs = nextSendMs;
  for (;;) {
    const nowMs = bootTimeMs();
    if (nowMs >= nextSendMs) {
      nextSendMs = Math.max(nextSendMs + everyMs, nowMs);
      message.writeDoubleBE(nowMs);
      for (const address of virtualAddresses) udp.send(message, address, port);
    }
    if (nowMs >= nextAskMs) {
      nextAskMs = Math.max(nextAskMs + askEveryMs, nowMs);
      for (const address of virtualAddresses)
        arp.send(
          encodeArp(broadcastMac, {
            operation: arpOperation.request,
            senderMac: link.mac,
            senderIp: addressBytes(options.address),
            targetMac: new Uint8Array(6),
            targetIp: addressBytes(address),
          }),
        );
    }
    if (nowMs >= nextPingMs) {
      nextPingMs = nowMs + pingEveryMs;
      for (const address of virtualAddresses) ping.ask(address);
    }
    libc().poll(pollfds, fds.length, Math.max(0, Math.ceil(Math.min(nextSendMs, nextAskMs) - bootTimeMs())));
    for (let echo = udp.receive(); echo; echo = udp.receive())
      answered[echo.address]?.push(answerOf(Buffer.from(echo.data)));
    for (let from = ping.heard(); from !== undefined; from = ping.heard()) pings[from]?.push(bootTimeMs());
    for (let frame = arp.receive(); frame; frame = arp.receive()) {
      const packet = parseArp(frame);
      const address = packet && addressText(packet.senderIp);
      if (!packet || address === undefined || !wants.has(address)) continue;
      const answer =
        packet.operation === arpOperation.reply && addressText(packet.targetIp) === options.address;
      claims.push({ address, mac: macText(packet.senderMac), atMs: bootTimeMs(), answer });
    }
    // Lets a message in.
    await new Promise((resolve) => setImmediate(resolve));
    if (!wanted) continue;
    wanted = false;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage({ answered, pings, claims } satisfies Sighting);
    forget();
  }
}
