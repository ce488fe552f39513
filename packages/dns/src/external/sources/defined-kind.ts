import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { type Informer, startInformer } from '@cloudless/kube/informer/informer';
import type { Logger } from '@cloudless/kube/logger';
import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { apiextensions } from '@cloudless/kube/resources';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';

/** Versions from the best on; others are not known to mean the same. */
const knownVersions = ['v1', 'v1beta1', 'v1alpha3', 'v1alpha2', 'v1alpha1'];

/**
 * Watches whether a cluster has a custom kind: its definition alone, by name, so that a kind that is not there makes no
 * noise. `onChange` gets the resource in the best version that is served, or undefined.
 */
export function watchDefinition<T extends KubeObject>(options: {
  client: KubeClient;
  resource: Resource<T>;
  log: Logger;
  clock: Clock | undefined;
  onChange: (resource: Resource<T> | undefined) => void;
}): Informer<CustomResourceDefinition> {
  const { client, resource, log, clock, onChange } = options;
  const name = groupResourceOf(resource);
  const informer = startInformer({
    client,
    resource: apiextensions.customresourcedefinitions,
    fieldSelector: `metadata.name=${name}`,
    log,
    clock,
  });
  let current: string | undefined;
  const look = (definition: CustomResourceDefinition | undefined): void => {
    const version = definition && servedVersion(definition);
    if (version === current) return;
    current = version;
    onChange(version === undefined ? undefined : { ...resource, version });
  };
  informer.addHandler({ add: look, update: look, delete: () => look(undefined) });
  return informer;
}

function servedVersion({ spec, status, metadata }: CustomResourceDefinition): string | undefined {
  const isEstablished = status?.conditions?.some(
    ({ type, status: value }) => type === 'Established' && value === 'True',
  );
  if (!isEstablished || metadata?.deletionTimestamp !== undefined) return undefined;
  const served = new Set(spec?.versions?.filter((version) => version.served).map((version) => version.name));
  return knownVersions.find((version) => served.has(version));
}
