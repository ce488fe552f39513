/**
 * What every {@link EtcdStore} must do, as a test suite: run against the embedded engine and, through the gRPC
 * client, against etcd itself, which thereby also checks the suite.
 *
 * Every test uses keys of its own and relative revisions, so one store serves all of them.
 */
// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import { after, before, describe } from 'node:test';
import { declareCompaction } from './compliance/compaction.ts';
import { Context } from './compliance/context.ts';
import { declareKeys, declareRanges } from './compliance/keys.ts';
import { declareLeaseKeys } from './compliance/lease-keys.ts';
import { declareLeases } from './compliance/leases.ts';
import { declareModel } from './compliance/model.ts';
import { declareNesting } from './compliance/nesting.ts';
import { declareRangeOptions } from './compliance/range-options.ts';
import { declareRequestSizes } from './compliance/request-sizes.ts';
import { declareTransactions } from './compliance/transactions.ts';
import { declareWatchCrowds } from './compliance/watch-crowds.ts';
import { declareWatches } from './compliance/watches.ts';
import type { EtcdStore } from './store.ts';

export { plain, Receiver } from './compliance/context.ts';

export interface StoreUnderTest {
  readonly store: EtcdStore;
  stop(): Promise<void>;
}

let suites = 0;

/**
 * Declares the suite.
 *
 * @param start opens the store once for the whole suite
 */
export function etcdCompliance(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps etcd's contract`, () => {
    let under: StoreUnderTest;
    const folder = `/compliance-${process.pid}-${suites++}`;
    let tests = 0;
    before(async () => {
      under = await start();
    });
    after(async () => {
      await under.stop();
    });
    const context = (): Context => new Context(under.store, `${folder}/${tests++}/`);
    declareKeys(context);
    declareRanges(context);
    declareRangeOptions(context);
    declareTransactions(context);
    declareNesting(context);
    declareRequestSizes(context);
    declareWatches(context);
    declareWatchCrowds(context);
    declareLeases(context);
    declareLeaseKeys(context);
    declareModel(context);
    declareCompaction(context);
  });
}
