/**
 * A Kubernetes cluster in the process of a test: for operators and controllers in TypeScript.
 *
 * Promises: the API server, the controllers and the scheduler are those of `cloudless up`; pods run on simulated
 * nodes as a state machine; a start takes less than half a second; any number of clusters run side by side, each
 * with a CA of its own; what `stop()` leaves is nothing.
 *
 * ```ts
 * await using cluster = await startCluster();
 * const [deployment] = await cluster.apply(yaml);
 * await cluster.waitFor(deployment, 'Available');
 * ```
 */
export { type ApplyOptions, type Cluster, type ClusterOptions, startCluster } from './cluster.ts';
export type { ClientNodeConfig } from './credentials.ts';
export { ManifestError, type Named } from './manifests.ts';
export type { RunningNode, SimulatedNode } from './nodes.ts';
export { type Condition, type WaitOptions, WaitTimeoutError } from './wait.ts';
