import type { Container, Pod } from '@cloudless/kube/types/core-v1';

export interface ObjectName {
  kind: 'configmaps' | 'secrets';
  namespace: string;
  name: string;
}

/** Every ConfigMap and Secret a pod refers to: what a node is allowed to read, and no more. */
export function referencesOf(pod: Pod): ObjectName[] {
  const namespace = pod.metadata.namespace ?? '';
  const found = new Map<string, ObjectName>();
  const add = (kind: ObjectName['kind'], name: string | undefined): void => {
    if (name) found.set(`${kind}/${name}`, { kind, namespace, name });
  };
  for (const { name } of pod.spec?.imagePullSecrets ?? []) add('secrets', name);
  for (const volume of pod.spec?.volumes ?? []) {
    add('configmaps', volume.configMap?.name);
    add('secrets', volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) {
      add('configmaps', source.configMap?.name);
      add('secrets', source.secret?.name);
    }
  }
  const containers: Container[] = [
    ...(pod.spec?.initContainers ?? []),
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.ephemeralContainers ?? []),
  ];
  for (const container of containers) {
    for (const from of container.envFrom ?? []) {
      add('configmaps', from.configMapRef?.name);
      add('secrets', from.secretRef?.name);
    }
    for (const variable of container.env ?? []) {
      add('configmaps', variable.valueFrom?.configMapKeyRef?.name);
      add('secrets', variable.valueFrom?.secretKeyRef?.name);
    }
  }
  return [...found.values()];
}
