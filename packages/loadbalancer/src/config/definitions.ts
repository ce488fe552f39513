import type { KubeClient } from '@cloudless/kube/client/client';
import {
  type InstallOptions,
  type InstalledDefinitions,
  installDefinitions as install,
  readDefinitions,
} from '@cloudless/kube/definitions';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';

/** The CustomResourceDefinitions of `metallb.io`, as the files of `crds/` have them, in the order of their names. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return readDefinitions(new URL('../../crds/', import.meta.url));
}

/**
 * Brings the kinds of `metallb.io` into a cluster and resolves when all are Established; MetalLB's own are left alone.
 *
 * @throws DefinitionsNotServedError after `timeoutMs`; StatusError as the API server refuses
 */
export function installDefinitions(
  client: KubeClient,
  options: Omit<InstallOptions, 'definitions' | 'fieldManager'> = {},
): Promise<InstalledDefinitions> {
  return install(client, {
    ...options,
    definitions: customResourceDefinitions(),
    fieldManager: 'cloudless-loadbalancer',
  });
}
