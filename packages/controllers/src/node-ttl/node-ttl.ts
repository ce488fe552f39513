import { keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';

const workers = 5;
const ttlAnnotation = 'node.alpha.kubernetes.io/ttl';

/** How long kubelets may keep Secrets and ConfigMaps, by size of the cluster; overlapping, so that it does not flap. */
const steps = [
  { min: 0, max: 100, seconds: 0 },
  { min: 90, max: 500, seconds: 15 },
  { min: 450, max: 1000, seconds: 30 },
  { min: 900, max: 2000, seconds: 60 },
  { min: 1800, max: Number.POSITIVE_INFINITY, seconds: 300 },
];

/** The step for a number of nodes, coming from another (upstream: pkg/controller/ttl). */
export function nextStep(step: number, nodes: number): number {
  let next = step;
  while (nodes > (steps[next]?.max ?? Number.POSITIVE_INFINITY)) next++;
  while (nodes < (steps[next]?.min ?? 0)) next--;
  return next;
}

/** Tells kubelets by an annotation how long they may use what they have fetched. */
export function startNodeTtlController(context: ControllerContext): Controller {
  const client = context.clientFor('ttl-controller');
  const nodes = context.informers.of(core.nodes);
  let step = 0;
  const sync = async (name: string, signal: AbortSignal): Promise<void> => {
    const node = nodes.store.get(name);
    const seconds = String(steps[step]?.seconds ?? 0);
    if (!node || node.metadata.annotations?.[ttlAnnotation] === seconds) return;
    try {
      await client.patch(
        core.nodes,
        name,
        'merge',
        { metadata: { annotations: { [ttlAnnotation]: seconds } } },
        { signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  return startQueue(context, { name: 'ttlcontroller', workers, waitFor: [nodes], sync }, (queue) => {
    const counted = (): void => {
      const next = nextStep(step, nodes.store.size);
      if (next === step) return;
      step = next;
      for (const node of nodes.store.list()) queue.add(keyOf(node));
    };
    nodes.addHandler({
      add: (node) => {
        counted();
        queue.add(keyOf(node));
      },
      update: (node) => queue.add(keyOf(node)),
      delete: counted,
    });
  });
}
