import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Stands between a client and a server, on the loopback, and fails as networks do. */
export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #target: () => number;
  readonly #host: string;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #hole = false;
  #refuses = false;
  /** Called with what passes towards the client; true: it is lost, and the connection with it. */
  loseAnswer: (data: Buffer) => boolean = () => false;

  private constructor(server: Server, target: () => number, host: string) {
    this.#server = server;
    this.#host = host;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#join(client));
  }

  /** @param target the port of `host` that connections go to, asked for each of them */
  static async start(target: () => number, host = '127.0.0.1'): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TcpProxy(server, target, host);
  }

  #join(client: Socket): void {
    if (this.#refuses) return void client.resetAndDestroy();
    const upstream = connect(this.#target(), this.#host);
    const pair = [client, upstream] as const;
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      // A hole swallows the end of a connection too.
      if (this.#hole) return;
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
    client.on('data', (data) => {
      if (!this.#hole) upstream.write(data);
    });
    upstream.on('data', (data: Buffer) => {
      if (this.#hole) return;
      if (this.loseAnswer(data)) end();
      else client.write(data);
    });
  }

  /** Breaks every connection; new ones are taken. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  /** Breaks every connection and resets new ones, until `heal`. */
  refuse(): void {
    this.#refuses = true;
    this.cut();
  }

  /** Swallows everything, in both directions, and says nothing, until `heal`. */
  swallow(): void {
    this.#hole = true;
  }

  /** Passes on again; connections that were swallowed stay dead. */
  heal(): void {
    if (this.#hole) {
      this.#hole = false;
      this.cut();
    }
    this.#refuses = false;
  }

  async stop(): Promise<void> {
    this.#hole = false;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
