import { podNamespace } from '@cloudless/kube/client/in-cluster';

/** Of requests to the API server. */
export const userAgent = 'cloudless-loadbalancer';

/** The namespace of the load balancer's objects: the flag, MetalLB's variable, the pod's own, MetalLB's usual one. */
export function namespaceOf(flag: string | undefined): string {
  return flag ?? process.env['METALLB_NAMESPACE'] ?? podNamespace() ?? 'metallb-system';
}
