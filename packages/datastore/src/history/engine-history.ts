import type { Committer } from '../committer.ts';
import type { Compactor } from '../compactor.ts';
import type { Log } from '../log/log.ts';
import type { MvccState } from '../mvcc/state.ts';
import type { ValueReader } from '../mvcc/value-reader.ts';
import type { MeasuredHistory } from './history.ts';
import { gatherRetained, type Retained } from './retained.ts';
import { historyOfState } from './state-history.ts';

export interface EngineParts {
  readonly name: string;
  readonly state: MvccState;
  readonly values: ValueReader;
  readonly log: Log;
  readonly committer: Committer;
  readonly compactor: Compactor;
  /** Throws when the engine has ended or its caller gave up. */
  readonly alive: () => void;
}

/** Everything that an engine retains at this instant; compactions give no space back until it is closed. */
export async function historyOfEngine(engine: EngineParts): Promise<MeasuredHistory> {
  const { name, state, log, committer, compactor, alive } = engine;
  let release = (): void => undefined;
  try {
    const gathering = Promise.withResolvers<Retained>();
    // Begun between two batches, where leases and keys agree, and gone on with beside the next ones.
    await committer.between(async () => {
      release = compactor.hold();
      gatherRetained(state).then(gathering.resolve, gathering.reject);
    });
    const retained = await gathering.promise;
    return historyOfState({
      name,
      retained,
      values: {
        hot(version) {
          alive();
          return engine.values.hot(version)?.value;
        },
        readValue: (position) => log.readValue(position),
        ...(log.readValues && { readValues: log.readValues.bind(log) }),
      },
      close: async () => release(),
    });
  } catch (error) {
    release();
    throw error;
  }
}
