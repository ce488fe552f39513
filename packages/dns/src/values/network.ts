import { isIP } from 'node:net';
import type { Permission, Remote } from '../transfer/keys.ts';
import type { Value } from './value.ts';
import { zoneNameOf } from './zone-name.ts';

/** 4 or 6; undefined: no address. */
export function addressFamily(text: string): 4 | 6 | undefined {
  const family = isIP(text);
  return family === 4 || (family === 6 && !text.includes('%')) ? family : undefined;
}

/** A block of addresses; one address is a block of one. Undefined, and said, when it is neither. */
export function networkOf(value: Value): string | undefined {
  const text = value.text()?.trim();
  if (text === undefined) return undefined;
  const [address = '', prefix, ...rest] = text.split('/');
  const family = addressFamily(address);
  const bits = family === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (family === undefined || rest.length > 0 || length < 0 || length > bits)
    return value.error(`expected an address or a block of addresses like 192.0.2.0/24, not '${text}'`);
  return `${address}/${length}`;
}

/**
 * Another server: `ADDRESS`, `ADDRESS:PORT`, `[IPV6]:PORT`, or a map of `address`, `port` and `key` (the name of a TSIG key).
 */
export function remoteOf(value: Value): Remote | undefined {
  if (!value.isMap) {
    const text = value.text()?.trim();
    return text === undefined ? undefined : remoteIn(text, value);
  }
  refuseOthers(value, ['address', 'port', 'key']);
  const text = value.at('address').text();
  if (text === undefined) return value.error('expected an address');
  const remote = remoteIn(text, value.at('address'));
  return (
    remote && {
      address: remote.address,
      port: value.at('port').integer(1, 65_535) ?? remote.port,
      key: keyNameOf(value.at('key')),
    }
  );
}

/** {@link remoteOf} for text that stands elsewhere. */
export function remoteIn(text: string, value: Value): Remote | undefined {
  const match = /^\[(?<six>[^\]]+)\](?::(?<port>\d{1,5}))?$|^(?<four>[\d.]+)(?::(?<port4>\d{1,5}))?$/.exec(
    text,
  );
  const address = match?.groups?.['six'] ?? match?.groups?.['four'] ?? text;
  const port = Number(match?.groups?.['port'] ?? match?.groups?.['port4'] ?? 53);
  if (addressFamily(address) === undefined || port < 1 || port > 65_535)
    return value.error(
      `expected an address like 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353, not '${text}'`,
    );
  return { address, port, key: undefined };
}

/** Who may: an address or block, or a map of `network`, `key` and `zones`. */
export function permissionOf(value: Value): Permission | undefined {
  if (!value.isMap) {
    const network = networkOf(value);
    return network === undefined ? undefined : { network, key: undefined, zones: undefined };
  }
  refuseOthers(value, ['network', 'key', 'zones']);
  const network = value.at('network').isSet ? networkOf(value.at('network')) : undefined;
  const key = keyNameOf(value.at('key'));
  if (!value.at('network').isSet && !value.at('key').isSet)
    return value.error('expected a network, a key, or both: as it is, nobody is meant');
  const zones = value.at('zones').isSet
    ? value
        .at('zones')
        .items()
        .flatMap((item) => zoneNameOf(item) ?? [])
    : undefined;
  return { network, key, zones };
}

/** The name of a TSIG key: lower case, without the dot at the end. */
export function keyNameOf(value: Value): string | undefined {
  const text = value.text();
  return text === undefined ? undefined : text.toLowerCase().replace(/\.$/, '');
}

/** Says which keys of a map are unknown. */
export function refuseOthers(value: Value, known: readonly string[]): void {
  for (const entry of value.entries())
    if (!known.includes(entry.key)) entry.value.error(`unknown; known are ${known.join(', ')}`);
}
