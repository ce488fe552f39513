import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';

/** One request, the same for both servers but for the marks in its body. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** `{{resourceVersion}}` and `{{uid}}` stand for those of the object at `current`, as this server has it. */
  readonly body?: string | Uint8Array;
  readonly current?: string;
  /** Sent one after the other once the answer has begun: a watch sees what they do. */
  readonly during?: readonly Ask[];
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Marks {
  resourceVersion: string;
  uid: string;
}

/** One of the two servers that are compared. */
export class Peer implements Disposable {
  readonly name: string;
  readonly url: string;
  readonly #tls: { ca: string; cert: string; key: string };
  readonly #marks = new Map<string, Promise<Marks>>();
  #session: ClientHttp2Session | undefined;

  constructor(name: string, url: string, tls: { ca: string; cert: string; key: string }) {
    this.name = name;
    this.url = url;
    this.#tls = tls;
  }

  /** Sends a request as it is. A `:path` or method that HTTP/2 itself refuses throws. */
  send(ask: Ask, onHead: () => void = () => undefined): Promise<Answer> {
    if (!this.#session || this.#session.destroyed || this.#session.closed) {
      this.#session = connect(this.url, this.#tls);
      this.#session.on('error', () => undefined);
    }
    const session = this.#session;
    return new Promise((resolve, reject) => {
      const stream = session.request(
        { ':method': ask.method, ':path': ask.path, ...ask.headers },
        { endStream: ask.body === undefined },
      );
      stream.setTimeout(60_000, () => stream.close());
      const chunks: Buffer[] = [];
      let headers: IncomingHttpHeaders = {};
      stream.on('response', (received) => {
        headers = received;
        onHead();
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () =>
        resolve({ status: Number(headers[':status'] ?? 0), headers, body: Buffer.concat(chunks) }),
      );
      if (ask.body !== undefined) stream.end(ask.body);
    });
  }

  /** Fills in the marks of the body, then sends. */
  async ask(ask: Ask): Promise<Answer> {
    if (ask.during) return await this.#watch(ask, ask.during);
    if (ask.current === undefined || typeof ask.body !== 'string') return this.send(ask);
    const marks = await this.#marksOf(ask.current);
    const body = ask.body
      .replaceAll('{{resourceVersion}}', marks.resourceVersion)
      .replaceAll('{{uid}}', marks.uid);
    return this.send({ ...ask, body });
  }

  async #watch(ask: Ask, during: readonly Ask[]): Promise<Answer> {
    const begun = Promise.withResolvers<void>();
    const answer = this.send(ask, begun.resolve);
    await Promise.race([begun.promise, answer]);
    for (const each of during) await this.ask(each);
    return await answer;
  }

  /** Read anew whenever it is asked for: other cases may have changed the object since. */
  #marksOf(path: string): Promise<Marks> {
    const pending = this.#marks.get(path);
    if (pending) return pending;
    const read = this.send({ method: 'GET', path }).then(({ body }) => {
      this.#marks.delete(path);
      const { metadata } = JSON.parse(body.toString()) as { metadata?: Partial<Marks> };
      return { resourceVersion: metadata?.resourceVersion ?? '', uid: metadata?.uid ?? '' };
    });
    this.#marks.set(path, read);
    return read;
  }

  [Symbol.dispose](): void {
    this.#session?.destroy();
  }
}
