/**
 * A machine becomes a node: CAs, certificates, service account keys and kubeconfigs in kubeadm's places, under its
 * names. What is there is kept and checked; leaves are renewed in time, CAs never by themselves.
 *
 * ```ts
 * const report = await bootstrapControlPlane({ context, nodeIps: ['192.0.2.10'], serviceIps: ['10.96.0.1'] });
 * console.log(report.created);
 * ```
 */
export {
  type BootstrapReport,
  bootstrapControlPlane,
  type ControlPlaneOptions,
  createClientKubeconfig,
} from './control-plane.ts';
export { BootstrapError } from './pki/files.ts';
