import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { eventually } from '../cluster.ts';
import { image, type Chapter, type Session, type Started } from './session.ts';

/** Sends back what comes, and ends when the other side does. */
async function echo(): Promise<{ server: Server; port: number; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    socket.pipe(socket);
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 });
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, sockets };
}

/** A pod in the node's own network, where this test is too. */
async function hostPod(s: Session): Promise<void> {
  const spec = { hostNetwork: true, terminationGracePeriodSeconds: 1 };
  const overrides = `--overrides=${JSON.stringify({ apiVersion: 'v1', spec })}`;
  const line = `run harbour --image=${image} --image-pull-policy=Never --restart=Never ${overrides} --command`;
  await s.k(`${line} -- sleep 3600`);
  await s.k('wait --for=condition=Ready pod/harbour --timeout=60s');
}

/** Local ports of a port-forward by remote port. */
async function localPorts(s: Session, forward: Started, remote: readonly number[]): Promise<number[]> {
  const ports: number[] = [];
  for (const port of remote) {
    const pattern = new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${port}`);
    await s.printed(forward, pattern);
    ports.push(Number(pattern.exec(forward.output())?.[1]));
  }
  return ports;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the other side ends. */
async function rest(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

export const forwarding: Chapter = {
  'port-forward of two ports, with bytes of any kind, each side closing first': async (s) => {
    await hostPod(s);
    const [one, two] = [await echo(), await echo()];
    const forward = s.start(`port-forward pod/harbour :${one.port} :${two.port}`);
    const locals = await localPorts(s, forward, [one.port, two.port]);
    await Promise.all(
      locals.map(async (port) => {
        const cargo = randomBytes(300_000);
        const socket = await open(port);
        socket.end(cargo);
        assert.ok((await rest(socket)).equals(cargo), 'the bytes came back changed');
      }),
    );
    const socket = await open(locals[0] as number);
    socket.write('x');
    await once(socket, 'data');
    for (const far of one.sockets) far.end('bye');
    assert.equal((await rest(socket)).toString(), 'bye');
    socket.destroy();
    forward.child.kill();
    await forward.ended;
    for (const { server } of [one, two]) server.close();
  },

  'port-forward to a port where nothing listens says so': async (s) => {
    const { server, port } = await echo();
    server.close();
    const forward = s.start(`port-forward pod/harbour :${port}`);
    const [local] = await localPorts(s, forward, [port]);
    const socket = await open(local as number);
    assert.equal((await rest(socket)).length, 0);
    socket.destroy();
    await s.printed(
      forward,
      new RegExp(
        `an error occurred forwarding ${local} -> ${port}: error forwarding port ${port} to pod [^]*connection refused`,
      ),
    );
    forward.child.kill();
    await forward.ended;
    assert.match(await s.refused('port-forward pod/nosuch :80'), /pods "nosuch" not found/);
  },

  'port-forward under 1,000 connections at once loses nothing and leaves nothing': async (s) => {
    // By SPDY with the oldest, by SPDY inside a WebSocket with the newest.
    const count = 1000;
    const { server, port, sockets } = await echo();
    const forward = s.start(`port-forward pod/harbour :${port}`);
    const [local] = await localPorts(s, forward, [port]);
    const clients = await Promise.all(Array.from({ length: count }, () => open(local as number)));
    const cargoes = clients.map(() => randomBytes(2_000));
    clients.forEach((client, i) => client.write(cargoes[i] as Buffer));
    // All are open at the far side before the first ends.
    await eventually(`${count} connections`, async () => sockets.size === count, 60_000);
    const returned = await Promise.all(
      clients.map((client) => {
        client.end();
        return rest(client);
      }),
    );
    const lost = returned.filter((bytes, i) => !bytes.equals(cargoes[i] as Buffer)).length;
    assert.equal(lost, 0, `${lost} of ${count} connections were lost or changed`);
    await eventually('the far ends to close', async () => sockets.size === 0);
    const held = await Promise.all(Array.from({ length: 10 }, () => open(local as number)));
    await eventually('ten more', async () => sockets.size === 10);
    forward.child.kill('SIGKILL');
    await forward.ended;
    await eventually('what a killed kubectl leaves to close', async () => sockets.size === 0);
    for (const socket of held) socket.destroy();
    server.close();
    await s.k('delete pod harbour --wait=false');
  },
};
