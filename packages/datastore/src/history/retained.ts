import type { MvccState, StateHead } from '../mvcc/state.ts';
import { type Version, visibleAt } from '../mvcc/version.ts';

/** Keys looked at, and versions put in order, between two turns of the event loop. */
const stepKeys = 4096;
const sliceMs = 4;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Every version that reads and watches can still reach at one revision. */
export interface Retained {
  readonly head: StateHead;
  readonly leases: ReadonlyArray<{ id: bigint; ttlSeconds: number }>;
  /** In order of the log. */
  readonly versions: readonly Version[];
}

/**
 * Gathers what is retained at the visible revision of this instant, in steps beside the load: writes that come
 * meanwhile are not in it. The caller sees to it that no later compaction is cut until this resolves.
 *
 * That is every change from the compaction on, as etcd keeps them, and before it the version of each key that the
 * compaction still saw.
 */
export async function gatherRetained(state: MvccState): Promise<Retained> {
  const head = state.visible;
  const leases = [...state.leases.values()].map(({ id, ttlSeconds }) => ({ id, ttlSeconds }));
  const changes = state.history.since(head.compactRevision);
  if (head.compactRevision === 0) return { head, leases, versions: changes };
  const runs = await gatherBefore(state, head.compactRevision);
  return { head, leases, versions: (await merge(runs)).concat(changes) };
}

/** Versions of keys as the compaction saw them, unless it is their own change: runs in order of the log. */
async function gatherBefore(state: MvccState, compactRevision: number): Promise<Version[][]> {
  const runs: Version[][] = [];
  let from: string | undefined = '';
  while (from !== undefined) {
    const run: Version[] = [];
    let count = 0;
    let next: string | undefined;
    state.index.scan(from, undefined, (newest) => {
      if (count++ === stepKeys) {
        next = newest.key;
        return false;
      }
      const version = visibleAt(newest, compactRevision);
      if (version !== undefined && version.revision < compactRevision) run.push(version);
      return true;
    });
    runs.push(run.sort((a, b) => a.position - b.position));
    from = next;
    await nextTurn();
  }
  return runs;
}

/** Merges runs two by two, so that no step is long. */
async function merge(runs: Version[][]): Promise<Version[]> {
  let rest = runs;
  while (rest.length > 1) {
    const merged: Version[][] = [];
    for (let i = 0; i < rest.length; i += 2) {
      const [a, b = []] = [rest[i] as Version[], rest[i + 1]];
      merged.push(await mergeTwo(a, b));
    }
    rest = merged;
  }
  return rest[0] ?? [];
}

async function mergeTwo(a: readonly Version[], b: readonly Version[]): Promise<Version[]> {
  const merged: Version[] = [];
  let [i, j] = [0, 0];
  let until = performance.now() + sliceMs;
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    if (right === undefined || (left !== undefined && left.position < right.position)) {
      merged.push(left as Version);
      i++;
    } else {
      merged.push(right);
      j++;
    }
    if (merged.length % stepKeys === 0 && performance.now() > until) {
      await nextTurn();
      until = performance.now() + sliceMs;
    }
  }
  return merged;
}
