import koffi from 'koffi';

const connect = koffi.load('libc.so.6').func('int connect(int fd, const void *address, uint32_t length)');

/** Connects a UDP socket: what others send to it is dropped, and it needs no address for each datagram. */
export function connectSocket(fd: number, address: Buffer): void {
  if (connect(fd, address, address.length) !== 0) throw new Error('cannot connect the socket');
}
