/**
 * The server of authoritative zones: UDP in threads that share the port, TCP and TLS in one more, each answering from the
 * snapshots of the zones by itself; what they cannot answer comes to the main thread's handler.
 *
 * ```ts
 * const server = await startDnsServer({ addresses: ['192.0.2.1'], port: 53, zones: registry, onRequest,
 *   access: everybody, rateLimit: unlimited, log });
 * ```
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { running } from '@cloudless/kube/lifecycle';
import type { ThreadSettings } from '../authoritative/thread.ts';
import type { ZoneSnapshot } from '../zone/registry.ts';
import type { DnsServer, DnsServerOptions, ServerCertificate } from './dns-server.ts';
import { Access } from './limits/access.ts';
import { parseNetwork } from './limits/networks.ts';
import { rateBuckets } from './limits/rate-limiter.ts';
import { newCounters } from './metrics/counters.ts';
import { prometheusText } from './metrics/prometheus.ts';
import type { AccessRules, RateLimit } from './request.ts';
import { NodeThread, ThreadHost, type ThreadKind } from './thread-host.ts';
import type { ServingThreadData, StreamThreadData, ThreadReport } from './threads/messages.ts';
import type { UdpSockets } from './udp-sockets.ts';

export const everybody: AccessRules = { allow: ['0.0.0.0/0', '::/0'], deny: [] };

export const unlimited: RateLimit = {
  responsesPerSecond: 0,
  errorsPerSecond: 0,
  slip: 2,
  ipv4PrefixLength: 24,
  ipv6PrefixLength: 56,
  exempt: [],
};

/** Secrets of cookies change so often; the one before counts on for as long. */
const cookieSecretMs = 24 * 3600 * 1000;
/** A port that is free for UDP may be taken for TCP. */
const freePortTries = 10;

/** Starts the server. Rejects, with `code`, when an address or port cannot be bound; nothing listens then. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  checkAddresses(options.addresses);
  checkLimits(options.access, options.rateLimit);
  if (options.tls) checkCertificate(options.tls);
  for (let triesLeft = options.port === 0 ? freePortTries : 1; ; triesLeft--) {
    const server = new Server(options);
    try {
      return await server.start();
    } catch (error) {
      await server.stop();
      if (triesLeft === 1 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

interface Hosted {
  readonly host: ThreadHost;
  readonly counters: SharedArrayBuffer;
  readonly settled: Int32Array;
}

class Server {
  readonly #options: DnsServerOptions;
  readonly #clock: Clock;
  readonly #ready = new Int32Array(new SharedArrayBuffer(4));
  readonly #zones = new Map<string, ZoneSnapshot>();
  readonly #threads: Hosted[] = [];
  #settings: ThreadSettings;
  #certificate: ServerCertificate | undefined;
  #sockets: UdpSockets | undefined;
  #unfollow: (() => void) | undefined;
  #settling = 0;
  #port: number;
  #tlsPort: number | undefined;
  #sink: Parameters<DnsServer['logQueries']>[0];
  #stopRotation = (): void => {};

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#port = options.port;
    this.#tlsPort = options.tls?.port;
    this.#certificate = options.tls;
    this.#ready[0] = (options.isReady ?? true) ? 1 : 0;
    this.#settings = {
      access: options.access,
      rateLimit: options.rateLimit,
      cookies: { current: randomBytes(16), previous: undefined },
      version: options.identity?.version,
      id: options.identity?.id,
      rateBuckets: rateBuckets(),
      rateSeed: randomBytes(4).readInt32LE(),
    };
  }

  async start(): Promise<DnsServer> {
    this.#unfollow = this.#options.zones.onSnapshot((origin, snapshot) => {
      if (snapshot) this.#zones.set(origin, snapshot);
      else this.#zones.delete(origin);
      for (const { host } of this.#threads) host.tell({ kind: 'zone', origin, snapshot });
    });
    const threads = Math.max(1, this.#options.threads ?? 1);
    for (const kind of await this.#udpKinds(threads)) {
      const { port } = await this.#host(kind.thread, () => ({ ...this.#data(), ...kind.data() }));
      this.#port = port;
    }
    const script = new URL('./threads/stream-thread.ts', import.meta.url);
    const { tlsPort } = await this.#host(new NodeThread(script), () => this.#streamData());
    this.#tlsPort = tlsPort;
    this.#rotateSecrets();
    return this.#handle();
  }

  /** Threads on calls of our own where that is possible, else on Node's sockets. */
  async #udpKinds(count: number): Promise<Array<{ thread: ThreadKind; data: () => object }>> {
    const { addresses } = this.#options;
    const native = this.#options.udp === 'node' ? undefined : await this.#nativeUdp();
    if (!native)
      return Array.from({ length: count }, () => ({
        thread: new NodeThread(new URL('./threads/dgram-thread.ts', import.meta.url)),
        data: () => ({ fds: [], addresses, port: this.#port }),
      }));
    this.#sockets = native.openUdpSockets(addresses, this.#port, count);
    this.#port = this.#sockets.port;
    return this.#sockets.ofThreads.map((fds) => ({
      thread: native.newThread(),
      data: () => ({ fds, addresses, port: this.#port }),
    }));
  }

  async #nativeUdp() {
    try {
      const { libc } = await import('@cloudless/kube/native/libc');
      const { LoopThread } = await import('@cloudless/kube/native/loop-thread');
      const { openUdpSockets } = await import('./udp-sockets.ts');
      libc();
      const script = new URL('./threads/udp-thread.ts', import.meta.url);
      const newThread = (): ThreadKind => new LoopThread(script, 'a thread that serves DNS');
      return { openUdpSockets, newThread };
    } catch (error) {
      this.#options.log.warn({ err: error }, 'no system calls of our own here: DNS is served half as fast');
      return undefined;
    }
  }

  #data(): Omit<ServingThreadData, 'counters' | 'settled'> {
    return {
      settings: this.#settings,
      zones: [...this.#zones],
      readyFlag: this.#ready.buffer,
      logsQueries: this.#sink !== undefined,
    };
  }

  #streamData(): Omit<StreamThreadData, 'counters' | 'settled'> {
    const { addresses } = this.#options;
    const tls = this.#certificate && { ...this.#certificate, port: this.#tlsPort as number };
    return { ...this.#data(), addresses, port: this.#port, tls };
  }

  #host(kind: ThreadKind, data: () => object): ReturnType<ThreadHost['start']> {
    const counters = newCounters();
    const settled = new SharedArrayBuffer(4);
    const host: ThreadHost = new ThreadHost({
      kind,
      // What is settled was told: a thread begins with all of it.
      data: () => ({ ...data(), counters, settled }),
      onRequest: this.#options.onRequest,
      report: (report) => this.#hear(report),
      started: () => host.tell({ kind: 'settle', number: this.#settling }),
      log: this.#options.log,
      clock: this.#clock,
    });
    this.#threads.push({ host, counters, settled: new Int32Array(settled) });
    return host.start();
  }

  #hear(report: ThreadReport): void {
    if (report.kind === 'queries') this.#sink?.(report.queries, report.omitted);
    else if (report.kind === 'problem')
      this.#options.log.error({ problem: report.problem }, 'a DNS query could not be answered');
  }

  #rotateSecrets(): void {
    const timer = this.#clock.setTimeout(() => {
      const cookies = { current: randomBytes(16), previous: this.#settings.cookies.current };
      this.#settings = { ...this.#settings, cookies };
      for (const { host } of this.#threads) host.tell({ kind: 'cookies', secrets: cookies });
      this.#rotateSecrets();
    }, cookieSecretMs);
    this.#stopRotation = () => timer.cancel();
  }

  #handle(): DnsServer {
    return {
      port: this.#port,
      tlsPort: this.#tlsPort,
      setReady: (isReady) => void Atomics.store(this.#ready, 0, isReady ? 1 : 0),
      setLimits: (access, rateLimit) => {
        checkLimits(access, rateLimit);
        this.#settings = { ...this.#settings, access, rateLimit };
        for (const { host } of this.#threads) host.tell({ kind: 'limits', access, rateLimit });
      },
      setCertificate: (certificate) => {
        checkCertificate(certificate);
        if (!this.#certificate) throw new Error('the DNS server was started without TLS');
        const { certificate: chain, key } = certificate;
        this.#certificate = { certificate: chain, key };
        for (const { host } of this.#threads)
          host.tell({ kind: 'certificate', certificate: this.#certificate });
      },
      settled: () => this.#settled(),
      metrics: () =>
        prometheusText(
          this.#threads.map(({ counters }) => counters),
          this.#port,
        ),
      logQueries: (sink) => {
        this.#sink = sink;
        for (const { host } of this.#threads) host.tell({ kind: 'logQueries', isOn: sink !== undefined });
      },
      ...running(() => this.stop()),
    };
  }

  async #settled(): Promise<void> {
    const number = ++this.#settling;
    for (const { host } of this.#threads) host.tell({ kind: 'settle', number });
    for (const { settled } of this.#threads)
      for (let heard = Atomics.load(settled, 0); heard < number; heard = Atomics.load(settled, 0))
        await Atomics.waitAsync(settled, 0, heard).value;
  }

  async stop(): Promise<void> {
    this.#stopRotation();
    this.#unfollow?.();
    await Promise.all(this.#threads.map(({ host }) => host.stop()));
    this.#sockets?.close();
    // Whoever still waits would wait for ever.
    for (const { settled } of this.#threads) {
      Atomics.store(settled, 0, this.#settling);
      Atomics.notify(settled, 0);
    }
  }
}

function checkAddresses(addresses: readonly string[]): void {
  if (addresses.length === 0) throw new RangeError('DNS is to be answered on no address: give one at least');
  for (const address of addresses) {
    if (isIP(address) === 0) throw new RangeError(`${address} is not an IP address to answer DNS on`);
    if (address === '0.0.0.0' || /^[0:]+$/.test(address))
      throw new RangeError(
        `${address} would answer from the wrong address: list each address to answer DNS on`,
      );
  }
}

function checkLimits(access: AccessRules, rateLimit: RateLimit): void {
  void new Access(access);
  for (const network of rateLimit.exempt) parseNetwork(network);
  for (const [name, value, most] of [
    ['responsesPerSecond', rateLimit.responsesPerSecond, 1_000_000],
    ['errorsPerSecond', rateLimit.errorsPerSecond, 1_000_000],
    ['slip', rateLimit.slip, 100],
    ['ipv4PrefixLength', rateLimit.ipv4PrefixLength, 32],
    ['ipv6PrefixLength', rateLimit.ipv6PrefixLength, 128],
  ] as const)
    if (!Number.isInteger(value) || value < 0 || value > most)
      throw new RangeError(`rateLimit.${name} is ${value}: it is a whole number from 0 to ${most}`);
}

function checkCertificate({ certificate, key }: ServerCertificate): void {
  createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' });
}
