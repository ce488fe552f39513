/** Ethernet II as the layer-2 codecs see it: a whole frame, untagged (the kernel takes 802.1Q tags off before). */
export const ethernetHeaderBytes = 14;

export const etherType = { arp: 0x0806, ipv6: 0x86dd } as const;

export const broadcastMac: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

/** The big-endian 16 bits at `at`. */
export function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

/** Whether `length` bytes at two places are the same. */
export function sameBytes(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

/** Whether a station can have this address: neither a group's nor nobody's. */
export function isStationMac(bytes: Uint8Array, at: number): boolean {
  if (((bytes[at] as number) & 1) !== 0) return false;
  for (let i = 0; i < 6; i++) if (bytes[at + i] !== 0) return true;
  return false;
}

/** The header, with `to` and `from` 6 bytes each. */
export function putEthernetHeader(frame: Uint8Array, to: Uint8Array, from: Uint8Array, type: number): void {
  frame.set(to, 0);
  frame.set(from, 6);
  putWord(frame, 12, type);
}
