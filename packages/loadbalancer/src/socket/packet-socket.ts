import { checked, libc, linux, memoryAddress } from '@cloudless/kube/native/libc';

const sockaddrLlBytes = 20;
const largestFrame = 2048;
const receiveBuffer = new Uint8Array(largestFrame);

/** One instruction of classic BPF: struct sock_filter. */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

/** Operation codes of classic BPF that filters here use (linux/bpf_common.h). */
export const bpf = {
  loadByte: 0x30,
  loadHalf: 0x28,
  loadWord: 0x20,
  jumpEqual: 0x15,
  return: 0x06,
} as const;

/** Offsets of what is not in the packet (linux/filter.h, SKF_AD_*). */
export const ancillary = { packetType: 0xffff_f000 + 4 } as const;

/** A frame that was for another station, or on a VLAN that this machine has no interface for. */
export const packetOtherHost = 3;

/**
 * A raw socket on one interface that gets whole Ethernet frames of one type: non-blocking, for a loop of poll(2).
 * Frames of VLANs arrive on the interface of the VLAN, without their tag.
 */
export interface PacketSocket {
  readonly fd: number;
  /** The next frame, a view of a buffer that all packet sockets share; undefined: none waits. */
  receive(): Uint8Array | undefined;
  /** Sends a whole frame; false when the kernel did not take it (interface down, queue full). */
  send(frame: Uint8Array): boolean;
  /** Hears an Ethernet group from now on, whatever the interface's own filter. */
  join(mac: Uint8Array): void;
  leave(mac: Uint8Array): void;
  close(): void;
}

/**
 * Opens a packet socket on the interface of this index (0: every one); `filter` sees every frame first.
 *
 * @throws {SystemCallError} `EPERM` without CAP_NET_RAW, `ENODEV` when the interface is gone.
 */
export function openPacketSocket(
  index: number,
  etherType: number,
  filter: readonly Instruction[],
): PacketSocket {
  const c = libc();
  const what = `packet socket on interface ${index} (it needs root or CAP_NET_RAW)`;
  // Protocol 0 until the filter is there: nothing is queued that did not pass it.
  const fd = checked(
    c.socket(linux.AF_PACKET, linux.SOCK_RAW | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC, 0),
    'socket',
    what,
  );
  try {
    attachFilter(fd, filter, what);
    const address = new Uint8Array(sockaddrLlBytes);
    const view = new DataView(address.buffer);
    view.setUint16(0, linux.AF_PACKET, true);
    view.setUint16(2, etherType);
    view.setInt32(4, index, true);
    checked(c.bind(fd, address, sockaddrLlBytes), 'bind', what);
  } catch (error) {
    c.close(fd);
    throw error;
  }
  const membership = (option: number, mac: Uint8Array): void => {
    const request = new Uint8Array(16);
    const view = new DataView(request.buffer);
    view.setInt32(0, index, true);
    view.setUint16(4, linux.PACKET_MR_MULTICAST, true);
    view.setUint16(6, 6, true);
    request.set(mac, 8);
    // Refused only for an interface that is going: then nothing arrives from it anyway.
    c.setsockopt(fd, linux.SOL_PACKET, option, request, request.length);
  };
  return {
    fd,
    receive() {
      // ENETDOWN is told once when the interface goes down; the socket goes on when it is up again.
      const length = c.recv(fd, receiveBuffer, largestFrame, 0);
      return length < 0 ? undefined : receiveBuffer.subarray(0, length);
    },
    send: (frame) => c.send(fd, frame, frame.length, linux.MSG_DONTWAIT) === frame.length,
    join: (mac) => membership(linux.PACKET_ADD_MEMBERSHIP, mac),
    leave: (mac) => membership(linux.PACKET_DROP_MEMBERSHIP, mac),
    close() {
      c.close(fd);
    },
  };
}

function attachFilter(fd: number, filter: readonly Instruction[], what: string): void {
  const code = new Uint8Array(filter.length * 8);
  const view = new DataView(code.buffer);
  filter.forEach(([operation, jumpTrue, jumpFalse, k], i) => {
    view.setUint16(i * 8, operation, true);
    view.setUint8(i * 8 + 2, jumpTrue);
    view.setUint8(i * 8 + 3, jumpFalse);
    view.setUint32(i * 8 + 4, k, true);
  });
  // struct sock_fprog: a count and, aligned, where the instructions are.
  const program = new Uint8Array(16);
  new DataView(program.buffer).setUint16(0, filter.length, true);
  new DataView(program.buffer).setBigUint64(8, memoryAddress(code), true);
  checked(
    libc().setsockopt(fd, linux.SOL_SOCKET, linux.SO_ATTACH_FILTER, program, program.length),
    'setsockopt',
    what,
  );
}
