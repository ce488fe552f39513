import type { FieldPath } from '@cloudless/kube/field';
import type { Container, EphemeralContainer, PodSpec } from '@cloudless/kube/types/core-v1';

/** Any container of a pod; an ephemeral one has all fields of a container. */
export type AnyContainer = Container | EphemeralContainer;

export const isRestartableInit = (container: { restartPolicy?: string } | undefined): boolean =>
  container?.restartPolicy === 'Always';

/** Every container with its path, in upstream's order: init, ordinary, ephemeral. */
export function* containersOf(spec: PodSpec, path: FieldPath): Generator<[AnyContainer, FieldPath]> {
  for (const name of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    const list: readonly AnyContainer[] = spec[name] ?? [];
    for (const [i, container] of list.entries()) yield [container, path.child(name).index(i)];
  }
}
