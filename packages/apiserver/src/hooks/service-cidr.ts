import { networking } from '@cloudless/kube/resources';
import { isConflict } from '@cloudless/kube/status';
import type { ServiceCIDR } from '@cloudless/kube/types/networking-v1';
import type { PostStartHook } from '../server/options.ts';
import { ensure } from './ensure.ts';

export const defaultServiceCidrName = 'kubernetes';
const finalizer = 'networking.k8s.io/service-cidr-finalizer';

const isReady = (range: ServiceCIDR): boolean =>
  range.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
  false;

/**
 * The range from which Services get their addresses (upstream: pkg/controlplane/controller/defaultservicecidr). One
 * that exists with other ranges stays as it is, since addresses of it are in use.
 */
export function serviceCidrHook(cidrs: readonly string[]): PostStartHook {
  return {
    name: 'start-kubernetes-service-cidr-controller',
    async run({ client, caches, clock, log, signal }) {
      const wanted: ServiceCIDR = {
        metadata: { name: defaultServiceCidrName, finalizers: [finalizer] },
        spec: { cidrs: [...cidrs] },
      };
      const range = await ensure(client, networking.servicecidrs, wanted, signal);
      const found = range.spec?.cidrs ?? [];
      if (found.join() !== cidrs.join()) {
        log.warn(
          { found, configured: cidrs },
          'the default ServiceCIDR differs from the configured ranges and is kept',
        );
      }
      if (!isReady(range)) {
        const condition = {
          type: 'Ready',
          status: 'True',
          reason: '',
          message: 'Kubernetes default Service CIDR is ready',
          lastTransitionTime: `${new Date(clock.nowMs()).toISOString().slice(0, 19)}Z`,
        };
        const ready = { ...structuredClone(range), status: { conditions: [condition] } };
        try {
          await client.update(networking.servicecidrs, ready, { subresource: 'status', signal });
        } catch (error) {
          // Another server was faster; the hook runs again and sees.
          if (!isConflict(error)) throw error;
        }
      }
      // Services may be made from here on.
      await caches.of(networking.servicecidrs).fresh();
    },
  };
}
