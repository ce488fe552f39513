import { lowerName, parseName } from '@cloudless/dns/wire/name';
import { KeyError, type StoredKey } from '@cloudless/dns/dnssec/key';
import { changeKeys, zoneKeys } from '@cloudless/dns/dnssec/key-secret';
import { describeKeys } from '@cloudless/dns/dnssec/key-status';
import { beginRollover, retireReplaced } from '@cloudless/dns/dnssec/rollover';
import { UsageError } from '../../options.ts';
import { clusterOf } from '../named-cluster.ts';

export interface KeysFlags {
  kubeconfig?: string;
  root: string;
  namespace: string;
  roll?: true;
  retire?: true;
  zoneKey?: true;
  parentTtl: string;
}

/**
 * `cloudless dns keys ZONE`: the keys that sign a zone of the cluster and what they do next; `--roll` begins to replace the
 * key, `--retire` ends the old one. What is printed is how it is afterwards.
 */
export async function keys(zone: string, flags: KeysFlags): Promise<void> {
  if (flags.roll && flags.retire)
    throw new UsageError(
      '--roll and --retire: one begins a rollover, the other ends it, a day or more later',
    );
  const parentTtlSeconds = Number(flags.parentTtl);
  if (!Number.isInteger(parentTtlSeconds) || parentTtlSeconds < 0)
    throw new UsageError(
      `--parent-ttl ${flags.parentTtl}: expected seconds, the TTL of the DS at the parent`,
    );
  const { client } = clusterOf(flags, 'cloudless-dns');
  const options = { client, namespace: flags.namespace };
  const origin = lowerName(parseName(zone));
  const nowMs = Date.now();
  const change = (stored: readonly StoredKey[]): readonly StoredKey[] => {
    if (flags.retire) return retireReplaced(stored, nowMs, parentTtlSeconds);
    const hasZoneKeys = stored.some(({ flags: bits }) => bits === 256);
    return beginRollover(stored, flags.zoneKey ? 'zsk' : hasZoneKeys ? 'ksk' : 'csk', nowMs);
  };
  const stored =
    flags.roll || flags.retire
      ? await changeKeys(options, origin, change)
      : (await zoneKeys(options, origin)).keys;
  if (stored.length === 0)
    throw new KeyError(
      `${origin}. has no keys in ${flags.namespace}: put it under dnssec in the values, and the first one is made`,
    );
  process.stdout.write(`${describeKeys(stored, nowMs).join('\n')}\n`);
}
