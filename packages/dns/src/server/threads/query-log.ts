import { endOfName, headerBytes, nameAt, WireError } from '../../wire/name.ts';
import { rcodeName, typeName } from '../../wire/types.ts';
import { type Client, peerOf } from '../client.ts';
import type { LoggedQuery } from '../dns-server.ts';

/** Queries told in one stretch of {@link stretchMs}; the others are only counted, so that a flood cannot flood the log. */
const mostInStretch = 100;
const stretchMs = 200;

/** Takes down queries while somebody wants to see them. */
export class QueryLog {
  readonly #report: (queries: readonly LoggedQuery[], omitted: number) => void;
  #queries: LoggedQuery[] = [];
  #omitted = 0;
  #begunMs = 0;
  isOn: boolean;

  constructor(isOn: boolean, report: (queries: readonly LoggedQuery[], omitted: number) => void) {
    this.isOn = isOn;
    this.#report = report;
  }

  /** When what was taken down is to be told; Infinity: there is nothing. */
  get dueMs(): number {
    return this.#queries.length > 0 ? this.#begunMs + stretchMs : Infinity;
  }

  /** Tells what is due. */
  flush(nowMs: number): void {
    if (nowMs < this.dueMs) return;
    this.#report(this.#queries, this.#omitted);
    this.#queries = [];
    this.#omitted = 0;
  }

  /** @param message the query whole, @param answerBytes 0: it got no answer */
  add(message: Buffer, client: Client, rcode: number, answerBytes: number, nowMs: number): void {
    if (this.#queries.length === 0) this.#begunMs = nowMs;
    if (this.#queries.length >= mostInStretch) {
      this.#omitted += 1;
      return;
    }
    const { address, port, transport } = peerOf(client);
    const question = questionOf(message);
    this.#queries.push({
      client: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
      transport,
      name: question.name,
      type: question.type,
      rcode: answerBytes === 0 ? 'none' : rcodeName(rcode),
      answerBytes,
    });
  }
}

/** Names are printed escaped (RFC 1035 section 5.1): no octet of a stranger's reaches a terminal. */
function questionOf(message: Buffer): { name: string; type: string } {
  try {
    if (message.length < headerBytes || message.readUInt16BE(4) === 0) return { name: '', type: 'none' };
    const name = nameAt(message, headerBytes);
    const end = endOfName();
    return { name, type: end + 2 <= message.length ? typeName(message.readUInt16BE(end)) : 'none' };
  } catch (error) {
    if (error instanceof WireError) return { name: '', type: 'none' };
    throw error;
  }
}
