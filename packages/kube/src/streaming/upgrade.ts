import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { request as httpRequest } from '../builtin-http.ts';
import type { Duplex } from 'node:stream';

/** Where to send an HTTP/1.1 upgrade. */
export interface UpgradeTarget {
  url: URL;
  method: string;
  headers: Readonly<Record<string, string | string[]>>;
  /** For https: the client's credentials and whom to trust. */
  tls?:
    | {
        cert?: string | Buffer | undefined;
        key?: string | Buffer | undefined;
        ca?: string | Buffer | undefined;
        /** False accepts any certificate. */
        rejectUnauthorized: boolean;
        servername?: string | undefined;
      }
    | undefined;
  connectTimeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** The other side's answer: switched, or a plain response that says why not. */
export type UpgradeAnswer =
  | { switched: true; response: IncomingMessage; socket: Duplex; head: Buffer }
  | { switched: false; response: IncomingMessage };

/** Asks for an upgrade on a connection of its own. Rejects with the connection's error. */
export function requestUpgrade(target: UpgradeTarget): Promise<UpgradeAnswer> {
  const secure = target.url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const sent = (secure ? httpsRequest : httpRequest)(target.url, {
      method: target.method,
      headers: target.headers,
      agent: false,
      signal: target.signal,
      ...target.tls,
    });
    const timer = setTimeout(
      () => sent.destroy(new Error(`no answer within ${target.connectTimeoutMs} ms`)),
      target.connectTimeoutMs,
    );
    sent.once('upgrade', (response, socket, head) => {
      clearTimeout(timer);
      resolve({ switched: true, response, socket, head });
    });
    sent.once('response', (response) => {
      clearTimeout(timer);
      resolve({ switched: false, response });
    });
    sent.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.end();
  });
}

/** The other side refused an upgrade; its response is unread. */
export class UpgradeRefused extends Error {
  readonly response: IncomingMessage;

  constructor(response: IncomingMessage) {
    super(`the upgrade was answered with ${response.statusCode}`);
    this.name = 'UpgradeRefused';
    this.response = response;
  }
}

/** As {@link requestUpgrade}; a response other than a switch throws `UpgradeRefused`. */
export async function requestSwitch(
  target: UpgradeTarget,
): Promise<Extract<UpgradeAnswer, { switched: true }>> {
  const answer = await requestUpgrade(target);
  if (!answer.switched) throw new UpgradeRefused(answer.response);
  answer.socket.on('error', () => answer.socket.destroy());
  return answer;
}

const hopHeaders = [
  'upgrade',
  'connection',
  'sec-websocket-',
  'x-stream-protocol-version',
  'user-agent',
  'origin',
];

/** The headers of an upgrade that belong to the streaming protocol; credentials stay behind. */
export function upgradeHeaders(
  headers: IncomingMessage['headersDistinct'],
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, values] of Object.entries(headers)) {
    if (values && hopHeaders.some((each) => name === each || (each.endsWith('-') && name.startsWith(each)))) {
      kept[name] = values.length === 1 ? (values[0] as string) : values;
    }
  }
  return kept;
}

/** The `101` to pass on to whoever asked us, with the other side's headers. */
export function switchingResponse(response: IncomingMessage): string {
  const lines = ['HTTP/1.1 101 Switching Protocols'];
  for (let at = 0; at + 1 < response.rawHeaders.length; at += 2) {
    lines.push(`${response.rawHeaders[at]}: ${response.rawHeaders[at + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/**
 * Passes an upgrade on as it is, whatever its protocol, and then the bytes of both sides. Throws `UpgradeRefused` or
 * the connection's error before anything is answered; resolves when both sides have closed.
 */
export async function passUpgrade(options: {
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  target: Omit<UpgradeTarget, 'method' | 'headers'>;
}): Promise<void> {
  const { incoming, socket } = options;
  const answer = await requestSwitch({
    ...options.target,
    method: incoming.method ?? 'POST',
    headers: upgradeHeaders(incoming.headersDistinct),
  });
  socket.write(switchingResponse(answer.response));
  await joinSockets(socket, options.head, answer.socket, answer.head);
}

/**
 * Joins two sockets, each with what has been read of it already, until both have ended. When one fails, the other
 * is closed too.
 */
export function joinSockets(a: Duplex, aHead: Buffer, b: Duplex, bHead: Buffer): Promise<void> {
  if (aHead.length > 0) b.write(aHead);
  if (bHead.length > 0) a.write(bHead);
  a.pipe(b);
  b.pipe(a);
  return new Promise((resolve) => {
    let open = 2;
    for (const [socket, other] of [
      [a, b],
      [b, a],
    ] as const) {
      socket.on('error', () => other.destroy());
      const gone = (): void => {
        other.end();
        // What is under way to the other side may arrive; a peer that never closes may not hold us.
        const timer = setTimeout(() => other.destroy(), 5_000);
        timer.unref();
        other.once('close', () => clearTimeout(timer));
        open -= 1;
        if (open === 0) resolve();
      };
      // One that has closed already does not tell of it again.
      if (socket.closed) gone();
      else socket.once('close', gone);
    }
  });
}

/** The whole body of a response, at most `limitBytes` of it. */
export async function readBody(response: IncomingMessage, limitBytes = 64 * 1024): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    parts.push(chunk);
    size += chunk.length;
    if (size >= limitBytes) break;
  }
  return Buffer.concat(parts).subarray(0, limitBytes).toString('utf8');
}
