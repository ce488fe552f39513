/**
 * Cloudless's controllers: desired state becomes objects, as kube-controller-manager does it. Each controller is
 * a folder with an identity of its own (upstream's service account in kube-system) and is driven by events: no
 * step of a rollout waits for a timer.
 *
 * ```ts
 * const controllers = startControllers({
 *   clientFor: (name) => apiserver.clientFor(serviceAccountUser('kube-system', name)),
 *   caCertificate,
 *   clusterCidrs: ['10.244.0.0/16'],
 *   signal,
 * });
 * await controllers.ready;
 * ```
 */
export { type ControllersOptions, type Controllers, startControllers } from './start.ts';
