/** The thread of a responder: its sockets, and the handler that its module makes. */
import { parentPort, workerData } from 'node:worker_threads';
import { listen, type Listener } from './listener.ts';
import type { CreateResponder, ResponderReport, ResponderThreadData } from './responder.ts';

const { module, data, channel, addresses, port: wanted } = workerData as ResponderThreadData;
const port = parentPort;
if (port === null) throw new Error('the thread of a responder is started by startResponder');
const report = (message: ResponderReport): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
};

const { createResponder } = (await import(module)) as { createResponder: CreateResponder<unknown> };
const listeners: Listener[] = [];
const close = async (): Promise<void> => {
  for (const listener of listeners) await listener.stop();
};
try {
  const handle = await createResponder(data, channel);
  for (const address of addresses)
    listeners.push(await listen(address, listeners[0]?.port ?? wanted, handle));
  port.once('message', () => void close().then(() => report({ kind: 'closed' })));
  report({ kind: 'listening', port: listeners[0]?.port ?? wanted });
} catch (error) {
  await close();
  const { message, code } = error as NodeJS.ErrnoException;
  report({ kind: 'failed', message, code });
}
