import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { describe, it } from 'node:test';
import type { MessagePort } from 'node:worker_threads';
import { logger } from '@cloudless/kube/logger';
import { startResponder, type Responder } from './responder.ts';

const module = new URL('../testing/echo-responder.ts', import.meta.url);

async function askUdp(port: number, text: string, timeoutMs = 2000): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), timeoutMs);
      socket.once('message', (message) => {
        clearTimeout(timer);
        resolve(message.toString());
      });
      socket.send(text, port, '127.0.0.1');
    });
  } finally {
    socket.close();
  }
}

async function askTcp(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const length = Buffer.from([0, text.length]);
  socket.write(Buffer.concat([length, Buffer.from(text)]));
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('error', reject);
  });
  socket.destroy();
  return answer.toString('utf8', 2);
}

describe('a responder in a thread of its own', () => {
  const start = (port: number, connected: MessagePort[] = []): Promise<Responder> =>
    startResponder({
      module,
      data: () => ({ greeting: `hello ${connected.length}` }),
      connect: (ours) => connected.push(ours),
      addresses: ['127.0.0.1'],
      port,
      log: logger('dns').child({}, { level: 'silent' }),
    });

  it('answers by UDP and TCP, hears its channel, and is started again when it fails', async () => {
    const connected: MessagePort[] = [];
    const responder = await start(0, connected);
    const { port } = responder;
    assert.equal(await askUdp(port, 'a'), 'hello 1 udp a');
    assert.equal(await askUdp(port, 'later'), 'hello 1 udp later');
    assert.equal(await askTcp(port, 'b'), 'hello 1 tcp b');
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    connected[0]?.postMessage('good day');
    while ((await askUdp(port, 'c')) !== 'good day udp c');
    await askUdp(port, 'crash', 200);
    let answer: string | undefined;
    for (let i = 0; i < 50 && answer !== 'hello 2 udp d'; i++) answer = await askUdp(port, 'd', 100);
    assert.equal(answer, 'hello 2 udp d');
    await responder.stop();
    const again = await start(port);
    await again.stop();
  });

  it('a port that is taken rejects with its code, and leaves nothing behind', async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) =>
      holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port)),
    );
    await assert.rejects(start(port), { code: 'EADDRINUSE' });
    await new Promise((resolve) => holder.close(resolve));
    const after = await start(port);
    await after.stop();
  });
});
