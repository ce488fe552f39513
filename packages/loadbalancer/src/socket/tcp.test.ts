import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { intBytes, libc, linux } from '@cloudless/kube/native/libc';
import { connectTcp, md5Signature } from './tcp.ts';

/** The descriptor of a socket or server; Node does not show it. */
const descriptor = (handle: object): number => (handle as { _handle: { fd: number } })._handle.fd;

function option(socket: Socket, level: number, name: number): number {
  const value = intBytes(0);
  assert.equal(libc().getsockopt(descriptor(socket), level, name, value, intBytes(4)), 0);
  return new DataView(value.buffer).getInt32(0, true);
}

for (const [address, level, name] of [
  ['127.0.0.1', linux.IPPROTO_IP, linux.IP_TTL],
  ['::1', linux.IPPROTO_IPV6, linux.IPV6_UNICAST_HOPS],
] as const)
  describe(`TCP to ${address}`, () => {
    const listen = async () => {
      const server = createServer((socket) => socket.pipe(socket));
      server.listen(0, address);
      await once(server, 'listening');
      return { server, port: (server.address() as AddressInfo).port };
    };
    const target = { address, sourceAddress: undefined, md5Password: undefined, ttl: undefined };

    it('goes there and back, with the TTL asked for', async () => {
      const { server, port } = await listen();
      const socket = connectTcp({ ...target, port, sourceAddress: address, ttl: 1 });
      await once(socket, 'connect');
      assert.equal(option(socket, level, name), 1);
      assert.equal(socket.localAddress, address);
      socket.write('echo');
      assert.equal(String((await once(socket, 'data'))[0]), 'echo');
      socket.destroy();
      server.close();
    });

    it('connects with the same MD5 password, and not with another one', async () => {
      const { server, port } = await listen();
      const signature = md5Signature(address, 'right');
      const set = libc().setsockopt(
        descriptor(server),
        linux.IPPROTO_TCP,
        linux.TCP_MD5SIG,
        signature,
        signature.length,
      );
      assert.equal(set, 0);
      const wrong = connectTcp({ ...target, port, md5Password: 'wrong' });
      wrong.once('connect', () => assert.fail('the password was wrong'));
      const right = connectTcp({ ...target, port, md5Password: 'right' });
      await once(right, 'connect');
      right.write('signed');
      assert.equal(String((await once(right, 'data'))[0]), 'signed');
      assert.ok(wrong.connecting);
      for (const socket of [wrong, right]) socket.destroy();
      server.close();
    });

    it('refuses a password that TCP MD5 cannot hold, and leaves nothing open', () => {
      assert.throws(
        () => connectTcp({ ...target, port: 1, md5Password: 'x'.repeat(81) }),
        new RangeError('a TCP MD5 password has 1 to 80 bytes, not 81'),
      );
    });

    it('tells that nobody listens', async () => {
      const { server, port } = await listen();
      server.close();
      await once(server, 'close');
      const [error] = (await once(connectTcp({ ...target, port }), 'error')) as [Error & { code: string }];
      assert.equal(error.code, 'ECONNREFUSED');
    });
  });
