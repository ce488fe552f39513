import type { Socket } from 'node:net';

const mostConnections = 1000;
/** So that one client cannot hold them all. */
const mostOfClient = 100;

/** Connections that are open, over all that share it. */
export class ConnectionLimits {
  readonly #sockets = new Set<Socket>();
  readonly #ofClient = new Map<string, number>();

  /** False: there are too many, of this client or of all, and this one was closed. */
  admit(socket: Socket): boolean {
    const client = socket.remoteAddress ?? '';
    const count = this.#ofClient.get(client) ?? 0;
    if (this.#sockets.size >= mostConnections || count >= mostOfClient) {
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    this.#ofClient.set(client, count + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#ofClient.get(client) ?? 1) - 1;
      if (left === 0) this.#ofClient.delete(client);
      else this.#ofClient.set(client, left);
    });
    return true;
  }

  closeAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
