import {
  broadcastMac,
  ethernetHeaderBytes,
  etherType,
  putEthernetHeader,
  putWord,
  word,
} from './ethernet.ts';

export const arpOperation = { request: 1, reply: 2 } as const;

/** An ARP packet of IPv4 over Ethernet (RFC 826). The addresses are views into the frame it was read from. */
export interface ArpPacket {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

/** Ethernet header and packet; what follows is padding. */
export const arpFrameBytes = 42;

const hardwareEthernet = 1;
const hardwareIeee802 = 6; // some stations write it; Linux takes both (net/ipv4/arp.c)
const protocolIpv4 = 0x0800;

/** Reads a whole frame; undefined: no ARP of IPv4 over Ethernet, or cut short. Operations are not judged. */
export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < arpFrameBytes || word(frame, 12) !== etherType.arp) return undefined;
  const at = ethernetHeaderBytes;
  const hardware = word(frame, at);
  if (hardware !== hardwareEthernet && hardware !== hardwareIeee802) return undefined;
  if (word(frame, at + 2) !== protocolIpv4 || frame[at + 4] !== 6 || frame[at + 5] !== 4) return undefined;
  return {
    operation: word(frame, at + 6),
    senderMac: frame.subarray(at + 8, at + 14),
    senderIp: frame.subarray(at + 14, at + 18),
    targetMac: frame.subarray(at + 18, at + 24),
    targetIp: frame.subarray(at + 24, at + 28),
  };
}

/** A whole frame to `to`. */
export function encodeArp(to: Uint8Array, packet: ArpPacket): Uint8Array {
  const frame = new Uint8Array(arpFrameBytes);
  putEthernetHeader(frame, to, packet.senderMac, etherType.arp);
  const at = ethernetHeaderBytes;
  putWord(frame, at, hardwareEthernet);
  putWord(frame, at + 2, protocolIpv4);
  frame[at + 4] = 6;
  frame[at + 5] = 4;
  putWord(frame, at + 6, packet.operation);
  frame.set(packet.senderMac, at + 8);
  frame.set(packet.senderIp, at + 14);
  frame.set(packet.targetMac, at + 18);
  frame.set(packet.targetIp, at + 24);
  return frame;
}

/** The answer to a request: `mac` has the address that was asked for. */
export function arpReply(request: ArpPacket, mac: Uint8Array): Uint8Array {
  return encodeArp(request.senderMac, {
    operation: arpOperation.reply,
    senderMac: mac,
    senderIp: request.targetIp,
    targetMac: request.senderMac,
    targetIp: request.senderIp,
  });
}

/**
 * What tells everyone on the segment that `mac` has `ip` now: a broadcast request and a broadcast reply, since some
 * stations learn from the one form and some from the other (upstream: internal/layer2/arp.go sends both).
 */
export function gratuitousArp(ip: Uint8Array, mac: Uint8Array): Uint8Array[] {
  return [arpOperation.request, arpOperation.reply].map((operation) =>
    encodeArp(broadcastMac, {
      operation,
      senderMac: mac,
      senderIp: ip,
      targetMac: broadcastMac,
      targetIp: ip,
    }),
  );
}
