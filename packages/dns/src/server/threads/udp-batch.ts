import { constants } from 'node:os';
import { errno, libc, linux, memoryAddress } from '@cloudless/kube/native/libc';
import type { Client } from '../client.ts';

/** Datagrams taken from the kernel by one call. */
export const batchSize = 64;
/** Longer queries are cut off, and answered as malformed: only UPDATE is ever that long, and it has TCP. */
const inputBytes = 4096;
/** Answers by UDP are not longer than 1,232 octets. */
const outputBytes = 1280;
const addressBytes = 32;
/** struct mmsghdr and struct iovec on 64-bit Linux. */
const headerBytes = 64;
const vectorBytes = 16;

const at = { name: 0, nameLength: 8, vector: 16, vectors: 24, flags: 48, length: 56 } as const;

/**
 * Many datagrams in and out by one system call each (recvmmsg, sendmmsg). All memory that the kernel is told of is one
 * array, held by this object for as long as it lives: an array that only native code knows would be collected.
 */
export class UdpBatch {
  readonly #memory: Buffer;
  readonly #view: DataView;
  readonly #receiveHeaders: Uint8Array;
  readonly #sendHeaders: Uint8Array;
  readonly #addresses: number;
  readonly #sendVectors: number;
  readonly #receives: number;
  readonly #sends: number;
  #replies = 0;
  /** Memory with queries and answers. */
  readonly bytes: Buffer;
  readonly #inputs: number;
  readonly #outputs: number;

  constructor() {
    let size = 0;
    const take = (bytes: number): number => {
      const start = size;
      size += bytes * batchSize;
      return start;
    };
    this.#receives = take(headerBytes);
    this.#sends = take(headerBytes);
    const receiveVectors = take(vectorBytes);
    const sendVectors = take(vectorBytes);
    this.#addresses = take(addressBytes);
    this.#inputs = take(inputBytes);
    this.#outputs = take(outputBytes);
    this.#memory = Buffer.alloc(size);
    this.bytes = this.#memory;
    this.#view = new DataView(this.#memory.buffer, this.#memory.byteOffset, size);
    const base = memoryAddress(this.#memory);
    this.#receiveHeaders = this.#memory.subarray(this.#receives, this.#sends);
    this.#sendHeaders = this.#memory.subarray(this.#sends, receiveVectors);
    for (let i = 0; i < batchSize; i++) {
      const receive = this.#receives + i * headerBytes;
      const send = this.#sends + i * headerBytes;
      this.#pointer(receive + at.name, base, this.#addresses + i * addressBytes);
      this.#vector(
        receive,
        base,
        receiveVectors + i * vectorBytes,
        this.#inputs + i * inputBytes,
        inputBytes,
      );
      this.#vector(send, base, sendVectors + i * vectorBytes, this.outputAt(i), 0);
    }
    this.#sendVectors = sendVectors;
  }

  #pointer(where: number, base: bigint, offset: number): void {
    this.#view.setBigUint64(where, base + BigInt(offset), true);
  }

  #vector(header: number, base: bigint, vector: number, data: number, length: number): void {
    this.#pointer(vector, base, data);
    this.#view.setBigUint64(vector + 8, BigInt(length), true);
    this.#pointer(header + at.vector, base, vector);
    this.#view.setBigUint64(header + at.vectors, 1n, true);
  }

  /** Takes what waits in the socket, at most {@link batchSize}; 0: nothing. */
  receive(fd: number): number {
    const view = this.#view;
    for (let i = 0; i < batchSize; i++)
      view.setUint32(this.#receives + i * headerBytes + at.nameLength, addressBytes, true);
    this.#replies = 0;
    return Math.max(0, libc().recvmmsg(fd, this.#receiveHeaders, batchSize, linux.MSG_DONTWAIT, null));
  }

  inputAt(i: number): number {
    return this.#inputs + i * inputBytes;
  }

  inputLength(i: number): number {
    return this.#view.getUint32(this.#receives + i * headerBytes + at.length, true);
  }

  outputAt(i: number): number {
    return this.#outputs + i * outputBytes;
  }

  /** Where the next answer is to be written. */
  get nextOutput(): number {
    return this.#outputs + this.#replies * outputBytes;
  }

  /** Tells who sent the i-th datagram. */
  readClient(i: number, client: Client): void {
    const { bytes } = this;
    const address = this.#addresses + i * addressBytes;
    const isIpv6 = bytes[address] === linux.AF_INET6;
    client.bytes = bytes;
    client.start = address + (isIpv6 ? 8 : 4);
    client.length = isIpv6 ? 16 : 4;
    client.port = ((bytes[address + 2] as number) << 8) | (bytes[address + 3] as number);
    client.transport = 0;
  }

  /** The i-th sender's address as the kernel has it, to answer later. */
  socketAddress(i: number): Buffer {
    const start = this.#addresses + i * addressBytes;
    const length = this.#view.getUint32(this.#receives + i * headerBytes + at.nameLength, true);
    return Buffer.from(this.bytes.subarray(start, start + length));
  }

  /** The answer at {@link nextOutput} is for the i-th sender. */
  reply(i: number, length: number): void {
    const view = this.#view;
    const reply = this.#replies++;
    const header = this.#sends + reply * headerBytes;
    const receive = this.#receives + i * headerBytes;
    // The pointer to the sender's address, in two halves.
    view.setUint32(header, view.getUint32(receive, true), true);
    view.setUint32(header + 4, view.getUint32(receive + 4, true), true);
    view.setUint32(header + at.nameLength, view.getUint32(receive + at.nameLength, true), true);
    view.setUint32(this.#sendVectors + reply * vectorBytes + 8, length, true);
  }

  /** Sends the answers; how many the kernel did not take. One that it refuses does not keep back those after it. */
  send(fd: number): number {
    let failed = 0;
    for (let sent = 0; sent < this.#replies;) {
      const headers = sent === 0 ? this.#sendHeaders : this.#sendHeaders.subarray(sent * headerBytes);
      const count = libc().sendmmsg(fd, headers, this.#replies - sent, linux.MSG_DONTWAIT);
      if (count > 0) {
        sent += count;
        continue;
      }
      if (errno() === constants.errno.EINTR) continue;
      failed += 1;
      sent += 1;
    }
    return failed;
  }
}
