import { randomInt } from 'node:crypto';
import type { Clock } from '@cloudless/kube/clock';
import { askTcp, askUdp } from '../forward/exchange.ts';
import { emptyMessage, type Message, parseMessage, writeMessage } from '../wire/message.ts';
import type { Remote, TsigKey } from './keys.ts';
import { TsigSigner, TsigVerifier } from './tsig.ts';

/** `192.0.2.1:53`, as logs name another server. */
export function remoteName({ address, port }: Remote): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The key that requests to `remote` are signed with; undefined: none. Throws when the configuration lacks it. */
export function keyOf(remote: Remote, keys: readonly TsigKey[]): TsigKey | undefined {
  if (remote.key === undefined) return undefined;
  const key = keys.find(({ name }) => name === remote.key);
  if (!key) throw new Error(`there is no TSIG key ${remote.key}: add it to the Secret tsig-keys`);
  return key;
}

/** A request with an id of its own, signed when there is a key, and what verifies the answer to it. */
export interface SignedRequest {
  readonly bytes: Buffer;
  readonly id: number;
  /** Takes the answers' messages one after the other; undefined: they are not signed. */
  readonly verifier: TsigVerifier | undefined;
}

/** Nobody who does not see the request can guess the id. */
export function signedRequest(
  message: Partial<Message>,
  key: TsigKey | undefined,
  clock: Clock,
): SignedRequest {
  const id = randomInt(65_536);
  const bytes = writeMessage({ ...emptyMessage, ...message, id });
  if (!key) return { bytes, id, verifier: undefined };
  const signer = new TsigSigner(key, clock);
  const signed = signer.sign(bytes);
  return { bytes: signed, id, verifier: new TsigVerifier(key, clock, signer.mac) };
}

/**
 * Asks another server one thing and gives its answer, verified. Rejects when it is silent, refuses the connection, or answers
 * with a bad signature (TsigError) or nonsense (WireError).
 */
export async function ask(
  message: Partial<Message>,
  remote: Remote,
  transport: 'udp' | 'tcp',
  { keys, clock, signal }: { keys: readonly TsigKey[]; clock: Clock; signal: AbortSignal },
): Promise<Message> {
  const request = signedRequest(message, keyOf(remote, keys), clock);
  const exchange = transport === 'udp' ? askUdp : askTcp;
  const answer = await exchange(request.bytes, { host: remote.address, port: remote.port }, signal);
  return parseMessage(request.verifier?.accept(answer) ?? answer);
}
