import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { createSecureContext } from 'node:tls';
import { loadKubeconfig } from '../packages/kube/src/client/kubeconfig.ts';

/** Lets the server send as far ahead as Go's client does; Node's own 64 KiB make a list of 3.5 MB wait 55 times. */
const asGo = process.env['GO_WINDOWS'] !== undefined;
/** golang.org/x/net/http2, transport.go: transportDefaultStreamFlow and transportDefaultConnFlow. */
const goStreamWindowBytes = 4 * 1024 * 1024;
const goConnectionWindowBytes = 2 ** 30;

/** One HTTP/2 connection with as little around it as can be: the load must cost less than what it measures. */
export class Connection {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    session.on('error', () => {});
  }

  /** Resolves when the connection stands. */
  static open(kubeconfig: string): Promise<Connection> {
    const { server, ca, clientCert, clientKey } = loadKubeconfig(kubeconfig);
    const secureContext = createSecureContext({ ca, cert: clientCert, key: clientKey });
    const session = connect(server, {
      secureContext,
      ...(asGo ? { settings: { initialWindowSize: goStreamWindowBytes } } : {}),
    });
    return new Promise((resolve, reject) => {
      session.once('connect', () => {
        if (asGo) session.setLocalWindowSize(goConnectionWindowBytes);
        resolve(new Connection(session));
      });
      session.once('error', reject);
    });
  }

  #stream(method: string, path: string, contentType: string | undefined): ClientHttp2Stream {
    const headers: Record<string, string> = { ':method': method, ':path': path, accept: 'application/json' };
    if (contentType !== undefined) headers['content-type'] = contentType;
    return this.#session.request(headers, { endStream: contentType === undefined });
  }

  /** The body; rejects on a status of 400 or more. `keep` false: only its length is looked at. */
  send(method: string, path: string, body?: string, contentType = 'application/json'): Promise<string> {
    const stream = this.#stream(method, path, body === undefined ? undefined : contentType);
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status = 0;
      stream.once('response', (headers) => (status = Number(headers[constants.HTTP2_HEADER_STATUS])));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('error', reject);
      stream.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (status < 400) resolve(text);
        else reject(new Error(`${method} ${path}: ${status} ${text.slice(0, 300)}`));
      });
      if (body !== undefined) stream.end(body);
    });
  }

  /** A watch: each line goes to `onLine`, or nowhere. Resolves when the server has begun to answer. */
  watch(path: string, onLine?: (line: string) => void): Promise<void> {
    const stream = this.#stream('GET', path, undefined);
    stream.on('error', () => {});
    if (onLine) {
      let rest = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() as string;
        for (const line of lines) onLine(line);
      });
    } else stream.resume();
    return new Promise((resolve, reject) => {
      stream.once('response', (headers) => {
        const status = Number(headers[constants.HTTP2_HEADER_STATUS]);
        if (status === 200) resolve();
        else reject(new Error(`${path}: ${status}`));
      });
      stream.once('error', reject);
    });
  }

  close(): void {
    this.#session.destroy();
  }
}
