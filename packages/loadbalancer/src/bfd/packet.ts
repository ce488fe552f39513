/** BFD's control packets on the wire (RFC 5880 section 4.1), without authentication. Pure. */
import type { BfdState } from './bfd.ts';

/** Why a session is in its state (RFC 5880 section 4.1, Diag), as logs and listeners are told. */
export const diagnosticTexts = [
  'no diagnostic',
  'control detection time expired',
  'echo function failed',
  'neighbor signaled session down',
  'forwarding plane reset',
  'path down',
  'concatenated path down',
  'administratively down',
  'reverse concatenated path down',
] as const;
export const diagnostic = { none: 0, timeExpired: 1, neighborDown: 3, adminDown: 7 } as const;

/** By their numbers on the wire. */
const states: readonly BfdState[] = ['AdminDown', 'Down', 'Init', 'Up'];
const version = 1;
export const packetBytes = 24;
const authenticatedBytes = 26;
const bit = {
  poll: 0x20,
  final: 0x10,
  independent: 0x08,
  authentication: 0x04,
  demand: 0x02,
  multipoint: 0x01,
};

export interface ControlPacket {
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  /** The sender's BFD outlives its control plane. */
  readonly independent: boolean;
  readonly demand: boolean;
  readonly detectMultiplier: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
}

/** Why a packet is not looked at, in the order of RFC 5880 section 6.8.6. */
export type PacketFault =
  | 'version'
  | 'length'
  | 'detect-multiplier'
  | 'multipoint'
  | 'discriminator'
  | 'no-session-named'
  | 'authentication'
  | 'poll-and-final';

export function encodeControl(packet: ControlPacket): Uint8Array {
  const bytes = new Uint8Array(packetBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = (version << 5) | packet.diagnostic;
  bytes[1] =
    (states.indexOf(packet.state) << 6) |
    (packet.poll ? bit.poll : 0) |
    (packet.final ? bit.final : 0) |
    (packet.independent ? bit.independent : 0) |
    (packet.demand ? bit.demand : 0);
  bytes[2] = packet.detectMultiplier;
  bytes[3] = packetBytes;
  const words = [
    packet.myDiscriminator,
    packet.yourDiscriminator,
    packet.desiredMinTxUs,
    packet.requiredMinRxUs,
    packet.requiredMinEchoRxUs,
  ];
  for (const [i, word] of words.entries()) view.setUint32(4 + 4 * i, word);
  return bytes;
}

/** The packet of a datagram, or what is wrong with it. Sessions here use no authentication, so the A bit is a fault. */
export function decodeControl(bytes: Uint8Array): ControlPacket | PacketFault {
  if (bytes.length < packetBytes) return 'length';
  const [first = 0, flags = 0, detectMultiplier = 0, length = 0] = bytes;
  if (first >> 5 !== version) return 'version';
  const isAuthenticated = (flags & bit.authentication) !== 0;
  if (length < (isAuthenticated ? authenticatedBytes : packetBytes) || length > bytes.length) return 'length';
  if (detectMultiplier === 0) return 'detect-multiplier';
  if ((flags & bit.multipoint) !== 0) return 'multipoint';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [myDiscriminator, yourDiscriminator] = [view.getUint32(4), view.getUint32(8)];
  if (myDiscriminator === 0) return 'discriminator';
  const state = states[flags >> 6] as BfdState;
  if (yourDiscriminator === 0 && state !== 'Down' && state !== 'AdminDown') return 'no-session-named';
  if (isAuthenticated) return 'authentication';
  const [poll, final] = [(flags & bit.poll) !== 0, (flags & bit.final) !== 0];
  if (poll && final) return 'poll-and-final';
  return {
    diagnostic: first & 0x1f,
    state,
    poll,
    final,
    independent: (flags & bit.independent) !== 0,
    demand: (flags & bit.demand) !== 0,
    detectMultiplier,
    myDiscriminator,
    yourDiscriminator,
    desiredMinTxUs: view.getUint32(12),
    requiredMinRxUs: view.getUint32(16),
    requiredMinEchoRxUs: view.getUint32(20),
  };
}
