import { randomInt } from 'node:crypto';
import { askTcp, askUdp } from '@cloudless/dns/forward/exchange';
import {
  emptyMessage,
  type Message,
  parseMessage,
  plainEdns,
  writeMessage,
} from '@cloudless/dns/wire/message';
import { parseName, WireError } from '@cloudless/dns/wire/name';
import { rrClass } from '@cloudless/dns/wire/types';
import { UsageError } from '../../options.ts';
import { endpointOf } from './listen.ts';
import { localPorts, NoDnsError } from './local-dns.ts';

/** One question to our server, or to another; over TCP when the answer does not fit. Throws {@link NoDnsError}. */
export async function askServer(
  flags: { root: string; server?: string },
  name: string,
  type: number,
): Promise<Message & { server: string }> {
  const { address, port } =
    flags.server === undefined
      ? { address: '127.0.0.1', port: localPorts(flags.root).dns }
      : endpointOf('--server', flags.server);
  const query = writeMessage({
    ...emptyMessage,
    id: randomInt(65_536),
    questions: [{ name: nameOf(name), type, class: rrClass.IN }],
    edns: plainEdns,
  });
  const server = `${address}:${port}`;
  const { signal } = new AbortController();
  try {
    let answer = parseMessage(await askUdp(query, { host: address, port }, signal));
    if (answer.truncated) answer = parseMessage(await askTcp(query, { host: address, port }, signal));
    return { ...answer, server };
  } catch (error) {
    throw new NoDnsError(
      `${server} gave no answer (${(error as Error).message}): is it running? See: cloudless dns status`,
      {
        cause: error,
      },
    );
  }
}

function nameOf(text: string): string {
  try {
    return parseName(text);
  } catch (error) {
    if (error instanceof WireError)
      throw new UsageError(`${text}: is no name: ${error.message}`, { cause: error });
    throw error;
  }
}
