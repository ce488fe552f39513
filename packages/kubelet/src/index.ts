/**
 * The kubelet: runs the pods of one node in a CRI v1 runtime and reports on them.
 *
 * It promises what upstream's kubelet does: pods of the API (`spec.nodeName`) and of a static pod folder run, are
 * probed, restarted with back-off, given their volumes and environment, and ended with their grace; the API sees
 * upstream's phases, conditions, waiting reasons and events. A restarted kubelet adopts what runs. `stop()` leaves
 * pods running, `terminateAll()` ends them and leaves nothing behind.
 *
 * ```ts
 * const cri = simulatedRuntime({ clock: context.clock });
 * const { config } = parseKubeletConfiguration({ clusterDNS: ['10.96.0.10'] });
 * await using kubelet = await startKubelet({ context, client, cri, config, nodeIps: ['10.0.0.1'], simulated: true, log });
 * await kubelet.registered;
 * ```
 */
export {
  ConfigurationError,
  kubeletDefaults,
  parseKubeletConfiguration,
  type KubeletConfiguration,
  type ParsedConfiguration,
} from './config/configuration.ts';
export { startKubelet, type Kubelet, type KubeletOptions } from './kubelet/start.ts';
export { kubeletVersion } from './node/version.ts';
export { simulatedAnnotations, simulatedRuntime, type SimulatedRuntime } from './simulated/runtime.ts';
