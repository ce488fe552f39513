import type { KubeClient } from '@cloudless/kube/client/client';
import {
  type InstallOptions,
  type InstalledDefinitions,
  installDefinitions as install,
  readDefinitions,
} from '@cloudless/kube/definitions';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';

/** The CustomResourceDefinition of DNSEndpoint, as the file of `crds/` has it. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return readDefinitions(new URL('../../crds/', import.meta.url));
}

/**
 * Brings the kind DNSEndpoint into a cluster and resolves when it is Established; external-dns's own is left alone.
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
    fieldManager: 'cloudless-dns',
  });
}
