/**
 * What etcd answers on plain HTTP beside its gRPC API: `/health`, `/livez`, `/readyz`, `/version`, `/metrics`
 * (upstream: server/etcdserver/api/etcdhttp). The same over HTTP/1.1 and HTTP/2.
 */
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Datastore } from '../datastore.ts';
import { metricsText } from '../metrics.ts';
import { encodeFields } from './http2/hpack.ts';
import type { Request, ServerStream } from './http2/stream.ts';
import { serverVersion, storageVersion } from './version.ts';

/** A read that health waits for (etcd: its request timeout). */
const checkMs = 7_000;
/** A connection that says nothing for so long is closed. */
const idleMs = 60_000;

interface Answer {
  status: number;
  type: string;
  body: string;
  allow?: string;
}

const text = (status: number, body: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body,
});
const json = (status: number, value: object): Answer => ({
  status,
  type: 'application/json',
  body: JSON.stringify(value),
});

export class HttpSide {
  readonly #store: Datastore;
  readonly #server: Server;
  readonly #metrics: () => string;
  readonly #figures: { healthSuccesses: number; healthFailures: number };
  #stopping = false;

  /**
   * @param metrics text about the server, beside that of the store
   * @param figures counted up
   */
  constructor(
    store: Datastore,
    metrics: () => string,
    figures: { healthSuccesses: number; healthFailures: number },
  ) {
    this.#store = store;
    this.#figures = figures;
    this.#metrics = metrics;
    this.#server = createServer((request, response) => {
      void this.#answer(request.method ?? '', request.url ?? '/').then(({ status, type, body, allow }) => {
        response.writeHead(status, { 'content-type': type, ...(allow === undefined ? {} : { allow }) });
        response.end(request.method === 'HEAD' ? '' : body);
      });
    });
    this.#server.timeout = idleMs;
  }

  /** Takes over a connection that does not speak HTTP/2. */
  take(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  /** Answers a stream of an HTTP/2 connection that is no gRPC call. */
  answerStream(stream: ServerStream, { method, path }: Request): void {
    void this.#answer(method, path).then(({ status, type, body, allow }) => {
      const fields: Array<[string, string]> = [
        [':status', String(status)],
        ['content-type', type],
      ];
      if (allow !== undefined) fields.push(['allow', allow]);
      stream.respond(encodeFields(fields));
      if (method !== 'HEAD') stream.write(Buffer.from(body));
      stream.end();
    });
  }

  /** From now on it says that it is not ready. */
  goingAway(): void {
    this.#stopping = true;
  }

  close(): void {
    this.#server.closeIdleConnections();
  }

  async #answer(method: string, target: string): Promise<Answer> {
    const url = URL.parse(target, 'http://datastore');
    if (url === null) return text(400, 'bad request\n');
    const path = url.pathname;
    const isKnown =
      path === '/health' ||
      path === '/version' ||
      path === '/metrics' ||
      /^\/(livez|readyz)(\/|$)/.test(path);
    if (!isKnown) return text(404, '404 page not found\n');
    if (method !== 'GET' && method !== 'HEAD') return { ...text(405, 'Method Not Allowed\n'), allow: 'GET' };
    try {
      if (path === '/health') {
        const answer = await this.#health(url.searchParams);
        if (answer.status === 200) this.#figures.healthSuccesses++;
        else this.#figures.healthFailures++;
        return answer;
      }
      if (path === '/version')
        return json(200, {
          etcdserver: serverVersion,
          etcdcluster: `${storageVersion}.0`,
          storage: `${storageVersion}.0`,
        });
      if (path === '/metrics')
        return {
          status: 200,
          type: 'text/plain; version=0.0.4; charset=utf-8',
          body: metricsText(this.#store.figures()) + this.#metrics(),
        };
      return await this.#checks(path, url.searchParams);
    } catch (error) {
      return text(500, `${(error as Error).message}\n`);
    }
  }

  async #health(query: URLSearchParams): Promise<Answer> {
    const excluded = new Set(query.getAll('exclude'));
    const serializable = query.get('serializable') === 'true';
    const failed = (reason: string): Answer => json(503, { health: 'false', reason });
    for (const alarm of this.#store.raisedAlarms) {
      const name = alarm.toUpperCase();
      if (!excluded.has(name)) return failed(`ALARM ${name}`);
    }
    const refusal = await this.#read(serializable);
    return refusal === undefined
      ? json(200, { health: 'true', reason: '' })
      : failed(`RANGE ERROR:${refusal}`);
  }

  /** Why a read does not succeed; undefined when it does. */
  async #read(serializable: boolean): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(checkMs);
      await this.#store.range(
        { key: Buffer.from('health'), limit: 1, keysOnly: true, serializable },
        { signal },
      );
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #checks(path: string, query: URLSearchParams): Promise<Answer> {
    const [, kind = '', single, more] = path.split('/');
    const excluded = new Set(query.getAll('exclude'));
    const all = this.#checksOf(kind);
    const names =
      single === undefined || single === ''
        ? [...all.keys()].filter((name) => !excluded.has(name))
        : [single];
    if (more !== undefined || names.some((name) => !all.has(name))) return text(404, '404 page not found\n');
    const lines: string[] = [];
    let ok = true;
    for (const name of names) {
      const refusal = await (all.get(name) as () => Promise<string | undefined>)();
      if (refusal !== undefined) ok = false;
      lines.push(refusal === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${refusal}\n`);
    }
    if (!ok) return text(503, lines.join(''));
    return text(200, `${query.has('verbose') ? lines.join('') : ''}ok\n`);
  }

  #checksOf(kind: string): Map<string, () => Promise<string | undefined>> {
    const serializable = (): Promise<string | undefined> => this.#read(true);
    if (kind === 'livez') return new Map([['serializable_read', serializable]]);
    return new Map([
      [
        'data_corruption',
        async () => (this.#store.raisedAlarms.has('corrupt') ? 'alarm activated: CORRUPT' : undefined),
      ],
      ['serializable_read', serializable],
      ['linearizable_read', () => this.#read(false)],
      ['shutdown', async () => (this.#stopping ? 'the server is stopping' : undefined)],
    ]);
  }
}
