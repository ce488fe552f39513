/** A responder for tests: answers with what it was told, and fails when asked to. */
import type { MessagePort } from 'node:worker_threads';
import type { Handler } from '../server/listener.ts';

export function createResponder(data: { greeting: string }, port: MessagePort): Handler {
  let { greeting } = data;
  port.on('message', (text: string) => (greeting = text));
  return (message, peer) => {
    const text = message.toString();
    if (text === 'crash')
      setImmediate(() => {
        throw new Error('asked to crash');
      });
    if (text === 'silence') return undefined;
    const answer = Buffer.from(`${greeting} ${peer.transport} ${text}`);
    return text === 'later' ? new Promise((resolve) => setImmediate(resolve, answer)) : answer;
  };
}
