import type { Container, EphemeralContainer, Pod } from '@cloudless/kube/types/core-v1';

/** Annotations of pods that come from files (upstream: pkg/kubelet/types/pod_update.go). */
export const configAnnotations = {
  source: 'kubernetes.io/config.source',
  hash: 'kubernetes.io/config.hash',
  seen: 'kubernetes.io/config.seen',
  mirror: 'kubernetes.io/config.mirror',
} as const;

/** The four facts of a pod that its every message needs; throws on a pod without them, which no API serves. */
export function identityOf(pod: Pod): { uid: string; namespace: string; name: string } {
  const { uid, namespace, name } = pod.metadata;
  if (!uid || !namespace || !name) throw new Error('a pod without uid, namespace or name cannot run');
  return { uid, namespace, name };
}

/** `NAME_NAMESPACE(UID)`, as upstream's messages name a pod. */
export function podText(pod: Pod): string {
  const { uid, namespace, name } = identityOf(pod);
  return `${name}_${namespace}(${uid})`;
}

/** True for a pod that a file describes; the API has at most its mirror. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[configAnnotations.source];
  return source !== undefined && source !== 'api';
}

/** True for the API's picture of a static pod; it is never run. */
export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[configAnnotations.mirror] !== undefined;
}

/** A native sidecar: an init container that goes on running. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

export type ContainerKind = 'init' | 'sidecar' | 'regular' | 'ephemeral';

export interface NamedContainer {
  kind: ContainerKind;
  spec: Container | EphemeralContainer;
}

/** Every container of the pod with its kind: init and sidecar in order, regular, ephemeral. */
export function containersOf(pod: Pod): NamedContainer[] {
  const spec = pod.spec;
  return [
    ...(spec?.initContainers ?? []).map((c): NamedContainer => ({
      kind: isSidecar(c) ? 'sidecar' : 'init',
      spec: c,
    })),
    ...(spec?.containers ?? []).map((c): NamedContainer => ({ kind: 'regular', spec: c })),
    ...(spec?.ephemeralContainers ?? []).map((c): NamedContainer => ({ kind: 'ephemeral', spec: c })),
  ];
}

/** Where an event about a container points: `spec.containers{NAME}` (upstream: container.GenerateContainerRef). */
export function fieldPathOf(kind: ContainerKind, name: string): string {
  const list = {
    init: 'initContainers',
    sidecar: 'initContainers',
    regular: 'containers',
    ephemeral: 'ephemeralContainers',
  };
  return `spec.${list[kind]}{${name}}`;
}
