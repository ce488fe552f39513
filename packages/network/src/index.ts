/**
 * The network of one node: addresses and links for its pods (CNI), Services by nftables, routes to the pods of other
 * nodes. One process owns it; what it puts into the kernel stays while it is away, and a restarted one takes over
 * without a packet lost.
 *
 * ```ts
 * const network = await startNetwork({ context, client, nodeIp, clusterCidrs: ['10.244.0.0/16'],
 *   serviceCidrs: ['10.96.0.0/12'], log });
 * await network.ready; // containerd now reports NetworkReady
 * ```
 */
export { type Network, type NetworkOptions, removeNetwork, startNetwork } from './start.ts';
