import { networkInterfaces } from 'node:os';
import { systemClock } from '@cloudless/kube/clock';
import type { Clock } from '@cloudless/kube/clock';
import { running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Gossip, GossipMember, GossipOptions } from './gossip.ts';
import { RateLimitedLog } from './rate-limited-log.ts';
import { gossipSettings } from './settings.ts';
import type { GossipSettings } from './settings.ts';
import { GossipStreams } from './streams.ts';
import type { MemberRecord } from './swim/member.ts';
import { protocolMax, protocolMin } from './swim/protocol-versions.ts';
import { Swim } from './swim/swim.ts';
import { GossipBindError, GossipTransport } from './transport.ts';
import { addressBytes, addressText, endpointText, parseEndpoint } from './wire/address.ts';
import type { Endpoint } from './wire/address.ts';
import { EncryptionError, KeyRing } from './wire/encryption.ts';
import { LabelError, labelHeader } from './wire/label.ts';
import { limits } from './wire/limits.ts';
import type { WireOptions } from './wire/packet.ts';

/** Options of gossip that cannot be; the message names the one. */
export class GossipOptionsError extends Error {
  override readonly name = 'GossipOptionsError';
}

const leaveMs = 1_000;

/**
 * Starts a member of a memberlist cluster: listens, and is alone until it joins or is joined. Throws
 * {@link GossipOptionsError}, `GossipSettingsError`, `EncryptionError` (a key's length), `LabelError` (a label's) and
 * `GossipBindError` (port in use, address not of this node).
 */
export async function startGossip(options: GossipOptions): Promise<Gossip> {
  const { clock = systemClock, log } = options;
  const settings = gossipSettings(options.profile, options.settings);
  const wire = wireOptions(options, settings);
  const self = {
    name: options.nodeName,
    meta: metaOf(options),
    vsn: versionsOf(options),
    ...advertised(options),
  };
  const warnings = new RateLimitedLog(log, clock);
  const listeners = new Set<Listener>();
  let swim: Swim | undefined;
  const problem = (error: Error, from: Endpoint): void => warnOfPeer(warnings, swim, error, from);
  const streams = new GossipStreams(
    {
      wire,
      nodeName: self.name,
      timeoutMs: settings.tcpTimeoutMs,
      clock,
      states: () => swim?.membership.states() ?? [],
      merge: (nodes) => swim?.merge(nodes),
      onProblem: problem,
    },
    () => transport,
  );
  const transport = await GossipTransport.open(options.bindAddress, options.port, {
    onPacket: (packet, from) => receive(swim, packet, from, problem),
    onStream: (socket, from) => streams.serve(socket, from),
    onSocketError: (error, to) => warnOfSocket(warnings, error, to),
  });
  const port = options.advertisePort ?? transport.port;
  const protocol = new Swim({
    self: { ...self, port },
    settings,
    wire,
    network: {
      sendPacket: (to, packet) => transport.send(to, packet),
      tcpPing: (...ping) => streams.tcpPing(...ping),
      exchange: (...exchange) => streams.exchange(...exchange),
    },
    clock,
    random: Math.random,
    warn: (key, fields, text) => warnings.warn(key, () => fields, text),
    onChange: () => {
      if (!swim) return;
      const members = membersOf(swim);
      for (const listener of listeners) listener(members);
    },
  });
  swim = protocol;
  if (!wire.keys)
    log.warn(
      { address: self.address },
      'gossip is not encrypted: whoever reaches the port can speak as a member',
    );
  protocol.start();
  const local = { name: self.name, address: self.address, port };
  return handleOf(protocol, { local, transport, listeners, clock, log });
}

type Listener = (members: readonly GossipMember[]) => void;

interface HandleParts {
  readonly local: Gossip['local'];
  readonly transport: GossipTransport;
  readonly listeners: Set<Listener>;
  readonly clock: Clock;
  readonly log: Logger;
}

function handleOf(swim: Swim, { local, transport, listeners, clock, log }: HandleParts): Gossip {
  return {
    ...running(async () => {
      swim.stop();
      await transport.close();
    }),
    local,
    members: () => membersOf(swim),
    join: (addresses) => join(swim, addresses, local.port, log),
    leave: () => leave(swim, clock),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    healthScore: () => swim.awareness.score,
  };
}

function membersOf(swim: Swim): GossipMember[] {
  return [...swim.membership.members.values()].map((member: MemberRecord) => ({
    name: member.name,
    address: member.endpoint.address,
    port: member.endpoint.port,
    state: member.state,
    meta: member.meta,
  }));
}

function receive(
  swim: Swim | undefined,
  packet: Buffer,
  from: Endpoint,
  problem: (error: Error, from: Endpoint) => void,
): void {
  try {
    for (const error of swim?.receive(packet, from) ?? []) problem(error, from);
  } catch (error) {
    problem(error as Error, from);
  }
}

/** Another key or label than the cluster's is what an operator has to hear of, with who has it. */
function warnOfPeer(warnings: RateLimitedLog, swim: Swim | undefined, error: Error, from: Endpoint): void {
  const text =
    error instanceof EncryptionError
      ? 'gossip from a peer with another key, or none: give all speakers one secret'
      : error instanceof LabelError
        ? 'gossip from a peer with another label: give all speakers one label'
        : 'gossip that is not understood';
  const fields = (): Record<string, unknown> => {
    const members = [...(swim?.membership.members.values() ?? [])];
    const member = members.find((one) => one.endpoint.address === from.address)?.name;
    return { from: endpointText(from), ...(member === undefined ? {} : { member }), error: error.message };
  };
  warnings.warn(`${error.name} ${from.address}`, fields, text);
}

function warnOfSocket(warnings: RateLimitedLog, error: Error, to: Endpoint | undefined): void {
  const fields = { ...(to ? { to: endpointText(to) } : {}), error: error.message };
  warnings.warn(
    `socket ${to?.address ?? ''}`,
    () => fields,
    to ? 'gossip cannot be sent' : 'a socket of gossip failed',
  );
}

async function join(swim: Swim, addresses: readonly string[], port: number, log: Logger): Promise<number> {
  const answered = await Promise.all(
    addresses.map((address) => {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const endpoint = parseEndpoint(address, port);
      const failed = (error: Error | undefined): void => {
        if (error) log.warn({ address, error: error.message }, 'a member to join did not answer');
        resolve(error === undefined);
      };
      if (endpoint) swim.join(endpoint, failed);
      else failed(new GossipOptionsError('not an IP address, with or without :port'));
      return promise;
    }),
  );
  return answered.filter(Boolean).length;
}

async function leave(swim: Swim, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.setTimeout(resolve, leaveMs);
  swim.leave(resolve);
  await promise;
  timer.cancel();
}

function wireOptions(options: GossipOptions, settings: Readonly<GossipSettings>): WireOptions {
  const { key, label = '', compression = true, protocolVersion = 2 } = options;
  if (!Number.isInteger(protocolVersion) || protocolVersion < protocolMin || protocolVersion > protocolMax)
    throw new GossipOptionsError(
      `protocolVersion is ${protocolVersion}: memberlist has ${protocolMin} to ${protocolMax}`,
    );
  labelHeader(label);
  const keys = key === undefined ? undefined : new KeyRing(key instanceof Uint8Array ? [key] : key);
  const { verifyIncoming, verifyOutgoing } = settings;
  const encryptionVersion = protocolVersion === 1 ? 0 : 1;
  return { label, keys, encryptionVersion, compression, verifyIncoming, verifyOutgoing };
}

function metaOf({ nodeName, meta = new Uint8Array() }: GossipOptions): Buffer {
  const nameBytes = Buffer.byteLength(nodeName);
  if (nameBytes === 0 || nameBytes > limits.nameBytes)
    throw new GossipOptionsError(`nodeName has ${nameBytes} bytes: 1 to ${limits.nameBytes} are possible`);
  if (meta.length > limits.metaBytes)
    throw new GossipOptionsError(`meta has ${meta.length} bytes: ${limits.metaBytes} at most`);
  return Buffer.from(meta);
}

function versionsOf({ protocolVersion = 2, delegateVersions }: GossipOptions): Buffer {
  const { min, max, current } = delegateVersions ?? { min: 0, max: 0, current: 0 };
  return Buffer.of(protocolMin, protocolMax, protocolVersion, min, max, current);
}

/** The address that the others are told. */
function advertised({ bindAddress, advertiseAddress }: GossipOptions): { address: string; addr: Buffer } {
  const wanted = advertiseAddress ?? bindAddress;
  const bytes = addressBytes(wanted);
  if (!bytes || !addressBytes(bindAddress))
    throw new GossipOptionsError(
      `${bytes ? bindAddress : wanted} is no IP address: gossip binds to and advertises one`,
    );
  const unspecified = bytes.every((byte) => byte === 0);
  const addr = unspecified ? ownAddress(bytes.length) : bytes;
  return { address: addressText(addr) ?? wanted, addr };
}

/** An address of this node that others may reach it at. */
function ownAddress(bytes: number): Buffer {
  const family = bytes === 4 ? 'IPv4' : 'IPv6';
  for (const interfaces of Object.values(networkInterfaces()))
    for (const one of interfaces ?? []) {
      const addr = addressBytes(one.address);
      if (addr && !one.internal && one.family === family && !one.scopeid) return addr;
    }
  throw new GossipBindError(
    `no interface of this node has an ${family} address to advertise: give advertiseAddress`,
  );
}
