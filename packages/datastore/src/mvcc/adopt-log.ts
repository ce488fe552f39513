import type { LoadedRecord, LoadedState } from '../log/log.ts';
import type { MvccState } from './state.ts';

/** A lease that a log holds, as a change. */
interface Grant {
  readonly type: 'grant';
  readonly id: bigint;
  readonly ttlSeconds: number;
}

/** What adopting a log left to do. */
export interface Adopted {
  readonly grants: readonly Grant[];
  /** Positions of what compactions would have removed by now. */
  readonly garbage: number[];
}

/** Fills an empty state with everything that a log holds, piece by piece. */
export async function adoptLog(state: MvccState, loaded: LoadedState): Promise<Adopted> {
  const { compactRevision } = loaded;
  const grants = adoptOutline(state, loaded);
  const garbage: number[] = [];
  let revision = Math.max(1, compactRevision);
  let position = 0;
  for await (const piece of loaded.records) {
    state.adopt(piece, compactRevision, garbage);
    ({ revision, position } = piece[piece.length - 1] as LoadedRecord);
  }
  // An import may end with revisions that left no row.
  revision = Math.max(revision, compactRevision);
  state.adoptHead({ ...(loaded.head ?? { revision, position }), compactRevision });
  return { grants, garbage };
}

/** Puts everything that a log holds in place of what the state had, at once: nobody sees half of it. */
export function adoptLogAgain(
  state: MvccState,
  loaded: Omit<LoadedState, 'records'>,
  records: readonly (readonly LoadedRecord[])[],
): Adopted {
  state.clear();
  const grants = adoptOutline(state, loaded);
  const garbage: number[] = [];
  for (const piece of records) state.adopt(piece, loaded.compactRevision, garbage);
  const { compactRevision, head = state.visible } = loaded;
  state.adoptHead({ ...head, compactRevision });
  return { grants, garbage };
}

function adoptOutline(state: MvccState, { leases, facts }: Omit<LoadedState, 'records'>): Grant[] {
  const grants = leases.map(({ id, ttlSeconds }) => ({ type: 'grant' as const, id, ttlSeconds }));
  state.adoptLeases(grants);
  state.adoptFacts(facts);
  return grants;
}
