import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { SpdyClient, type SpdyStream } from './spdy.ts';
import { requestSwitch, type UpgradeTarget } from './upgrade.ts';

/** WebSocket subprotocol in which closing standard input can be said (KEP-4006). */
export const webSocketV5 = 'v5.channel.k8s.io';
/** WebSocket subprotocol that carries the SPDY bytes of a port-forward (KEP-4006). */
export const portForwardTunnel = 'SPDY/3.1+portforward.k8s.io';

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 };

/** Which standard streams a command has; read from a request's query (`stdin=true`, `input=1`, …). */
export interface RemoteCommandStreams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/** Names of the query parameters: the API server's own (`stdin`) and the kubelet's (`input`). */
export function remoteCommandStreams(query: URLSearchParams): RemoteCommandStreams {
  const has = (...names: string[]): boolean =>
    names.some((name) => ['1', 'true', 'True', 'TRUE', 't', 'T'].includes(query.get(name) ?? ''));
  const tty = has('tty');
  return {
    stdin: has('stdin', 'input'),
    stdout: has('stdout', 'output'),
    // With a terminal there is one output (upstream: remotecommand.NewOptions).
    stderr: has('stderr', 'error') && !tty,
    tty,
  };
}

export const isWebSocket = (request: IncomingMessage): boolean =>
  (request.headers.upgrade ?? '').toLowerCase() === 'websocket';

/** Whether a WebSocket request offers a subprotocol. */
export const offersProtocol = (request: IncomingMessage, protocol: string): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').some((each) => each.trim() === protocol);

/** `Upgrade: SPDY/3.1` with one version of the streaming protocol. */
export const spdyHeaders = (protocol: string): Record<string, string> => ({
  connection: 'Upgrade',
  upgrade: 'SPDY/3.1',
  'x-stream-protocol-version': protocol,
});

/** kubectl sends 32 KiB at a time. */
const largestMessageBytes = 8 * 1024 * 1024;

/**
 * Opens a WebSocket with a subprotocol that was offered. The tunnel's name has a slash, which is no character of a
 * token (RFC 9110), and `ws` would refuse it: it is neither shown the header nor left to answer it.
 */
function accept(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    maxPayload: largestMessageBytes,
    noServer: true,
    perMessageDeflate: false,
  });
  server.on('headers', (answer) => void answer.push(`Sec-WebSocket-Protocol: ${protocol}`));
  const { 'sec-websocket-protocol': _offered, ...headers } = incoming.headers;
  const request = Object.create(incoming, { headers: { value: headers } }) as IncomingMessage;
  return new Promise((resolve, reject) => {
    const left = (): void => reject(new Error('the client left before the upgrade was done'));
    if (socket.destroyed) return left();
    socket.once('close', left);
    server.handleUpgrade(request, socket, head, (webSocket) => resolve(webSocket));
  });
}

/**
 * Answers a WebSocket of `v5.channel.k8s.io` by a SPDY upgrade at `target`: the translation that upstream's API
 * server makes, so that a runtime without v5 still learns that standard input has ended. Throws `UpgradeRefused` or
 * the connection's error before anything is answered; resolves when both sides have closed.
 */
export async function translateRemoteCommand(options: {
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  streams: RemoteCommandStreams;
  target: Omit<UpgradeTarget, 'method' | 'headers'>;
}): Promise<void> {
  const answer = await requestSwitch({
    ...options.target,
    method: 'POST',
    headers: spdyHeaders('v4.channel.k8s.io'),
  });
  const spdy = new SpdyClient(answer.socket, answer.head);
  let webSocket: WebSocket;
  try {
    webSocket = await accept(options.incoming, options.socket, options.head, webSocketV5);
  } catch (error) {
    spdy.destroy();
    throw error;
  }
  await bridge(webSocket, spdy, options.streams);
}

function bridge(webSocket: WebSocket, spdy: SpdyClient, wanted: RemoteCommandStreams): Promise<void> {
  const open = (streamtype: string): SpdyStream => {
    const stream = spdy.open({ streamtype });
    stream.on('error', () => stream.destroy());
    return stream;
  };
  const error = open('error');
  const stdin = wanted.stdin ? open('stdin') : undefined;
  const outputs: Array<Promise<void>> = [];
  if (wanted.stdout) outputs.push(forward(open('stdout'), webSocket, channel.stdout));
  if (wanted.stderr) outputs.push(forward(open('stderr'), webSocket, channel.stderr));
  const resize = wanted.tty ? open('resize') : undefined;
  for (const stream of [stdin, resize]) stream?.resume();
  error.end();

  webSocket.on('message', (data: Buffer) => {
    const kind = data[0];
    const rest = data.subarray(1);
    if (kind === channel.stdin && stdin) write(stdin, rest, webSocket);
    else if (kind === channel.resize && resize) write(resize, rest, webSocket);
    else if (kind === channel.close && rest[0] === channel.stdin) stdin?.end();
  });
  webSocket.on('error', () => spdy.destroy());
  webSocket.once('close', () => spdy.destroy());

  const finished = (async () => {
    // The status comes last, after all output: kubectl leaves when it has read it.
    const status = await collect(error);
    await Promise.all(outputs);
    if (webSocket.readyState !== webSocket.OPEN) return;
    if (status.length > 0) webSocket.send(Buffer.concat([Buffer.from([channel.error]), status]));
    webSocket.close(1000);
    spdy.close();
  })();
  return finished.catch(() => webSocket.terminate()).then(() => closed(webSocket));
}

function closed(webSocket: WebSocket): Promise<void> {
  if (webSocket.readyState === webSocket.CLOSED) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => webSocket.terminate(), 5_000);
    webSocket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Holds the WebSocket while the stream is full. */
function write(stream: SpdyStream, bytes: Buffer, webSocket: WebSocket): void {
  if (bytes.length === 0 || stream.writableEnded || stream.destroyed) return;
  if (stream.write(bytes)) return;
  webSocket.pause();
  stream.once('drain', () => webSocket.resume());
}

const bufferedLimitBytes = 1024 * 1024;

/** Sends what comes on a stream over a channel, no faster than the client reads. */
async function forward(stream: SpdyStream, webSocket: WebSocket, to: number): Promise<void> {
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (webSocket.readyState !== webSocket.OPEN) return;
    const sent = new Promise<void>((resolve) =>
      webSocket.send(Buffer.concat([Buffer.from([to]), chunk]), () => resolve()),
    );
    if (webSocket.bufferedAmount > bufferedLimitBytes) await sent;
  }
}

/** Ends a connection that nobody reads any more: what was sent may arrive, but the other side cannot hold us. */
function leave(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), 5_000);
  socket.once('close', () => clearTimeout(timer));
  socket.end(() => socket.destroy());
}

async function collect(stream: SpdyStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) parts.push(chunk);
  return Buffer.concat(parts);
}

/**
 * Answers a WebSocket that tunnels a port-forward by a SPDY upgrade at `target`: each message's bytes go on as they
 * are. Throws as {@link translateRemoteCommand}; resolves when both sides have closed.
 */
export async function translatePortForward(options: {
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  target: Omit<UpgradeTarget, 'method' | 'headers'>;
}): Promise<void> {
  const answer = await requestSwitch({
    ...options.target,
    method: 'POST',
    headers: spdyHeaders('portforward.k8s.io'),
  });
  const far = answer.socket;
  let webSocket: WebSocket;
  try {
    webSocket = await accept(options.incoming, options.socket, options.head, portForwardTunnel);
  } catch (error) {
    far.destroy();
    throw error;
  }
  webSocket.on('message', (data: Buffer) => {
    if (far.destroyed || far.write(data)) return;
    webSocket.pause();
    far.once('drain', () => webSocket.resume());
  });
  webSocket.on('error', () => far.destroy());
  webSocket.once('close', () => leave(far));
  if (answer.head.length > 0) webSocket.send(answer.head);
  try {
    for await (const chunk of far as AsyncIterable<Buffer>) {
      if (webSocket.readyState !== webSocket.OPEN) break;
      const sent = new Promise<void>((resolve) => webSocket.send(chunk, () => resolve()));
      if (webSocket.bufferedAmount > bufferedLimitBytes) await sent;
    }
  } catch {
    // The far side broke off; the client learns it by the close.
  }
  webSocket.close(1000);
  await closed(webSocket);
}
