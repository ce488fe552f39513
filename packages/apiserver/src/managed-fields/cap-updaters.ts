import { compareTexts } from '@cloudless/kube/structured-merge/value';
import { identityText } from './identity.ts';
import type { Managed } from './managed.ts';

/** Entries by updates that an object keeps apart. */
const maxUpdaters = 10;
const bucketName = 'ancient-changes';

/**
 * Merges the oldest updaters into one entry a version (`ancient-changes`) when there are more than ten
 * (apimachinery: managedfields/internal/capmanagers.go).
 */
export function capUpdaters(managed: Managed): Managed {
  if (managed.sets.size <= maxUpdaters) return managed;
  const updaters = [...managed.sets].filter(([, { applied }]) => !applied).map(([identity]) => identity);
  if (updaters.length <= maxUpdaters) return managed;
  const sets = new Map(managed.sets);
  const times = new Map(managed.times);
  const seconds = (identity: string): number => {
    const time = times.get(identity);
    return time === undefined ? 0 : Math.floor(Date.parse(time) / 1000);
  };
  updaters.sort((a, b) => seconds(a) - seconds(b) || compareTexts(a, b));
  const firstOf = new Map<string, string>();
  let left = updaters.length;
  for (const identity of updaters) {
    if (left <= maxUpdaters) break;
    const owned = sets.get(identity);
    if (!owned) continue;
    const first = firstOf.get(owned.version);
    if (first === undefined) {
      firstOf.set(owned.version, identity);
      continue;
    }
    const { version } = owned;
    const bucket = identityText({
      manager: bucketName,
      operation: 'Update',
      apiVersion: version,
      subresource: '',
    });
    const start = sets.get(bucket) ?? sets.get(first);
    if (!sets.has(bucket)) sets.delete(first);
    sets.set(bucket, { ...owned, set: start ? owned.set.union(start.set) : owned.set });
    sets.delete(identity);
    // That of the newest that it holds.
    times.set(bucket, times.get(identity));
    left--;
  }
  return { ...managed, sets, times };
}
