import { type KeyState, keyState, signingKeysAt, type StoredKey } from './key.ts';

const says: Record<KeyState, string> = {
  waiting: 'not yet in use',
  published: 'published, does not sign',
  active: 'signs',
  retired: 'signs no more, still published',
  removed: 'gone: its entry may be deleted',
};

/** What each key of a zone does now and will do next, a line each; the next steps of a rollover, if one is under way, last. */
export function describeKeys(keys: readonly StoredKey[], nowMs: number): string[] {
  const served = new Map(signingKeysAt(keys, nowMs).keys.map((key) => [key.keyTag, key]));
  const hasZoneKeys = keys.some(({ flags }) => flags === 256);
  const lines = keys.map((key) => {
    const role = key.flags === 256 ? 'zone-signing' : hasZoneKeys ? 'key-signing' : 'combined';
    const state = served.get(key.keyTag)?.isActive ? 'active' : keyState(key.times, nowMs);
    const parent = served.get(key.keyTag)?.isInParent ? ', in CDS' : '';
    return [`${key.keyTag}: ${role}, ${says[state]}${parent}`, ...futureOf(key, nowMs)].join('; ');
  });
  return [...lines, ...nextStep(keys, nowMs)];
}

function futureOf({ times }: StoredKey, nowMs: number): string[] {
  const ahead = [
    [times.publish, 'published'],
    [times.activate, 'signs'],
    [times.syncPublish, 'in CDS'],
    [times.syncDelete, 'out of CDS'],
    [times.inactive, 'signs no more'],
    [times.delete, 'gone'],
  ] as const;
  return ahead
    .filter(([time]) => time !== undefined && time > nowMs)
    .map(([time, what]) => `${what} from ${new Date(time as number).toISOString()}`);
}

function nextStep(keys: readonly StoredKey[], nowMs: number): string[] {
  const replaced = keys.find(({ times }) => times.syncDelete !== undefined && times.inactive === undefined);
  if (!replaced) return [];
  const until = replaced.times.syncDelete as number;
  return [
    until > nowMs
      ? `next: from ${new Date(until).toISOString()} on give the parent the new DS (cloudless dns ds), then --retire`
      : `next: when the parent has the new DS (cloudless dns ds) and no longer that of ${replaced.keyTag}, --retire`,
  ];
}
