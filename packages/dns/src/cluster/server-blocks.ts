import type { CorefileConfig, ServerConfig } from '../corefile/config.ts';
import type { Responder } from './responder.ts';
import { ServerBlock, type ServerBlockOptions } from './server-block.ts';

/** Questions that the old blocks are asking get their answers still. */
const graceMs = 6000;

/** The server blocks in force. A block that a new Corefile leaves as it was keeps its cache and its connections. */
export class ServerBlocks {
  readonly #make: (config: ServerConfig) => ServerBlock;
  readonly #responder: Pick<Responder, 'use'>;
  readonly #leaving = new Map<ServerBlock, NodeJS.Timeout>();
  #inForce = new Map<string, ServerBlock>();

  constructor(options: Omit<ServerBlockOptions, 'config'>, responder: Pick<Responder, 'use'>) {
    this.#make = (config) => new ServerBlock({ ...options, config });
    this.#responder = responder;
  }

  get all(): ServerBlock[] {
    return [...this.#inForce.values()];
  }

  use(config: CorefileConfig): void {
    const next = new Map<string, ServerBlock>();
    for (const server of config.servers) {
      const key = textOf(server);
      next.set(key, this.#inForce.get(key) ?? this.#make(server));
    }
    const old = this.#inForce;
    this.#inForce = next;
    this.#responder.use([...next.values()]);
    for (const [key, block] of old) if (!next.has(key)) this.#retire(block);
  }

  async stop(): Promise<void> {
    const leaving = [...this.#leaving.keys()];
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
    await Promise.all([...this.all, ...leaving].map((block) => block.stop()));
  }

  #retire(block: ServerBlock): void {
    const timer = setTimeout(() => {
      this.#leaving.delete(block);
      void block.stop();
    }, graceMs);
    timer.unref();
    this.#leaving.set(block, timer);
  }
}

/** What a block asks for, wherever in the Corefile it stands. */
function textOf(config: ServerConfig): string {
  return JSON.stringify(config, (key, value: unknown) =>
    key === 'line' ? undefined : value instanceof RegExp ? String(value) : value,
  );
}
