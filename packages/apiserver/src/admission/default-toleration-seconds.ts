import type { Pod, Toleration } from '@cloudless/kube/types/core-v1';
import { isPod } from './forbid.ts';
import type { AdmissionPlugin } from './plugin.ts';

const taints = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];
const tolerationSeconds = 300;

const tolerates = (toleration: Toleration, taint: string): boolean =>
  (toleration.key === taint || !toleration.key) && (toleration.effect === 'NoExecute' || !toleration.effect);

/** Lets a pod stay 5 minutes on a node that is lost (upstream: plugin/pkg/admission/defaulttolerationseconds). */
export const defaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  handles: (operation, resource, subresource) =>
    (operation === 'CREATE' || operation === 'UPDATE') && isPod(resource, subresource),
  admit({ object }) {
    const { spec } = object as Pod;
    if (!spec) return;
    for (const key of taints) {
      if (spec.tolerations?.some((toleration) => tolerates(toleration, key))) continue;
      spec.tolerations = [
        ...(spec.tolerations ?? []),
        { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds },
      ];
    }
  },
};
