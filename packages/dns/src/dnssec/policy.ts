import type { SigningPolicy } from '../zone/zones.ts';
import { signingKeysAt, type StoredKey } from './key.ts';

/** Two weeks: a secondary that hears nothing for its expiry (RFC 1912: two to four weeks) is the limit people expect. */
export const defaultValiditySeconds = 14 * 24 * 3600;

/**
 * How a zone is signed at a time, from its keys in the Secret, and when that is different next because a key begins or
 * ends (undefined: never). Undefined as policy: no key signs at this time, so the zone is served unsigned.
 */
export function signingPolicyAt(options: {
  keys: readonly StoredKey[];
  denial: SigningPolicy['denial'];
  cds?: SigningPolicy['cds'] | undefined;
  validitySeconds?: number | undefined;
  nowMs: number;
}): { policy: SigningPolicy | undefined; changesAtMs: number | undefined } {
  const { keys, changesAtMs } = signingKeysAt(options.keys, options.nowMs);
  const signs = keys.some(({ isActive, flags }) => isActive && flags === 257);
  const policy: SigningPolicy = {
    keys,
    denial: options.denial,
    cds: options.cds ?? 'publish',
    validitySeconds: options.validitySeconds ?? defaultValiditySeconds,
  };
  return { policy: signs ? policy : undefined, changesAtMs };
}
