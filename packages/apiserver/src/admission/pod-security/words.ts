import type { Container, Pod, PodSpec } from '@cloudless/kube/types/core-v1';

/** Why a check forbids a pod; `detail` may be empty. */
export interface Violation {
  reason: string;
  detail: string;
}

/** A check of one aspect; undefined: nothing to say. `minor` is the version of the standard. */
export type Check = (pod: Pick<Pod, 'metadata' | 'spec'>, minor: number) => Violation | undefined;

export const quoted = (items: readonly string[]): string => items.map((item) => `"${item}"`).join(', ');
export const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many);
export const sorted = (items: Iterable<string>): string[] => [...new Set(items)].sort();
export const containersText = (names: readonly string[]): string =>
  `${plural('container', 'containers', names.length)} ${quoted(names)}`;

/** Every container: init, main and ephemeral. */
export const containersOf = (spec: PodSpec | undefined): Container[] => [
  ...(spec?.initContainers ?? []),
  ...(spec?.containers ?? []),
  ...((spec?.ephemeralContainers ?? []) as Container[]),
];

/** Names of the containers that are bad. */
export const namesWhere = (spec: PodSpec | undefined, bad: (container: Container) => boolean): string[] =>
  containersOf(spec)
    .filter(bad)
    .map(({ name }) => name);

/** `pod and containers "a", "b"`: who set something. */
export const settersText = (pod: boolean, containers: readonly string[]): string =>
  [...(pod ? ['pod'] : []), ...(containers.length > 0 ? [containersText(containers)] : [])].join(' and ');
