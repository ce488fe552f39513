import { isIP } from 'node:net';
import { UsageError } from '../../options.ts';
import { portOf } from '../named-cluster.ts';

export const userAgent = 'cloudless-dns';

/** `ADDRESS:PORT` or `[IPV6]:PORT`. Throws {@link UsageError}. */
export function endpointOf(flag: string, text: string): { address: string; port: number } {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d+)$/.exec(text);
  const address = match?.groups?.['six'] ?? match?.groups?.['four'] ?? '';
  if (isIP(address) === 0)
    throw new UsageError(`${flag} ${text}: expected ADDRESS:PORT, such as 127.0.0.1:5353 or [::1]:5353`);
  return { address, port: portOf(flag, match?.groups?.['port'] ?? '') };
}

/** Several endpoints that share a port, as the server binds them. Throws {@link UsageError}. */
export function listenOf(texts: readonly string[]): { addresses: string[]; port: number } {
  const endpoints = texts.map((text) => endpointOf('--listen', text));
  const [first] = endpoints;
  if (!first) throw new UsageError('--listen: expected at least one ADDRESS:PORT');
  const other = endpoints.find(({ port }) => port !== first.port);
  if (other) throw new UsageError(`--listen: ${first.port} and ${other.port}: all addresses have one port`);
  const wildcard = endpoints.find(({ address }) => /^(0\.0\.0\.0|::)$/.test(address));
  if (wildcard)
    throw new UsageError(
      `--listen ${wildcard.address}: answers would come from another address: name each address`,
    );
  return { addresses: [...new Set(endpoints.map(({ address }) => address))], port: first.port };
}
