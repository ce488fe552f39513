import { apexTtlSeconds } from './apex.ts';
import { generateKey, keyState, type KeyRole, KeyError, type StoredKey } from './key.ts';

/** A zone-signing key that signs no more stays published this long, for answers in caches: longer than most TTLs. */
const cachedAnswersSeconds = 2 * 24 * 3600;

/**
 * Begins a rollover: the keys of one zone with a new one of `role` among them. The times in the result do the rest.
 *
 * A key-signing or combined key rolls by double signature (RFC 6781 section 4.1.2): the new key is published and signs
 * beside the old one at once; when every cache knows it, CDS and CDNSKEY change from the old key to the new one. Once the
 * parent has the new DS, {@link retireReplaced} ends the old key. A zone-signing key rolls by pre-publication (section
 * 4.1.1.1), to its end by itself.
 *
 * Throws {@link KeyError} when a rollover of that role is under way.
 */
export function beginRollover(keys: readonly StoredKey[], role: KeyRole, nowMs: number): StoredKey[] {
  const [first] = keys;
  if (!first) throw new KeyError('there is no key to replace: the first one is made, not rolled');
  const flags = role === 'zsk' ? 256 : 257;
  const current = keys.filter((key) => key.flags === flags && keyState(key.times, nowMs) !== 'removed');
  const isUnderWay = current.some(({ times }) => (times.syncDelete ?? times.inactive) !== undefined);
  if (isUnderWay)
    throw new KeyError(
      `a ${role} of ${first.origin || '.'} is being replaced already: end that rollover first`,
    );
  const begin = Math.floor(nowMs / 1000) * 1000;
  const known = begin + apexTtlSeconds * 1000;
  const fresh = generateKey({
    origin: first.origin,
    role,
    nowMs,
    times:
      role === 'zsk'
        ? { publish: begin, activate: known }
        : { publish: begin, activate: begin, syncPublish: known },
    taken: new Set(keys.map(({ keyTag }) => keyTag)),
  });
  const ending = (key: StoredKey): StoredKey => {
    const times =
      role === 'zsk'
        ? { inactive: known, delete: known + cachedAnswersSeconds * 1000 }
        : { syncPublish: key.times.syncPublish ?? begin, syncDelete: known };
    return { ...key, times: { ...key.times, ...times } };
  };
  return [...keys.map((key) => (current.includes(key) ? ending(key) : key)), fresh];
}

/**
 * Ends the keys that were replaced, once the parent has the new DS and no longer the old one: they go after the old DS
 * has left the caches (`parentTtlSeconds`: its TTL at the parent), signatures and key together, since the new key has
 * signed beside them all the time. Throws {@link KeyError} while CDS still names the old key, or when there is none.
 */
export function retireReplaced(
  keys: readonly StoredKey[],
  nowMs: number,
  parentTtlSeconds: number,
): StoredKey[] {
  const isReplaced = ({ times }: StoredKey): boolean =>
    times.syncDelete !== undefined && times.inactive === undefined;
  const replaced = keys.filter(isReplaced);
  if (replaced.length === 0) throw new KeyError('no key is being replaced: begin a rollover first');
  const early = replaced.find(({ times }) => (times.syncDelete as number) > nowMs);
  if (early)
    throw new KeyError(
      `key ${early.keyTag} of ${early.origin || '.'} is not replaced before ${new Date(early.times.syncDelete as number).toISOString()}: caches may not know the new key yet`,
    );
  const end = Math.ceil(nowMs / 1000 + parentTtlSeconds) * 1000;
  return keys.map((key) =>
    isReplaced(key) ? { ...key, times: { ...key.times, inactive: end, delete: end } } : key,
  );
}
