// Our engine, in this process.
import { type Datastore, openDatastore } from '@cloudless/datastore';
import { quietLogger } from './etcd.ts';
import { type Running, type Subject, targetOf } from './subject.ts';

/** A running engine, with its own figures. */
export interface OurRunning extends Running {
  readonly store: Datastore;
}

export const sqlite = {
  name: 'Cloudless, SQLite',
  async start(folder: string, { commitWindowMs = 0 } = {}): Promise<OurRunning> {
    const store = await openDatastore({ path: `${folder}/state.db`, log: quietLogger, commitWindowMs });
    return { store, target: targetOf(store), stop: () => store.close() };
  },
} satisfies Subject;
