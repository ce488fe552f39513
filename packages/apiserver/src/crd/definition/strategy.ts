/**
 * CustomResourceDefinitions behind the generic store (apiextensions-apiserver/pkg/registry/customresourcedefinition).
 * Light: it is part of every server. Validation, which few starts need, loads with the first write.
 */
import { lazily } from '@cloudless/kube/lazy';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionStatus,
} from '@cloudless/kube/types/apiextensions-v1';
import { createdAtTable } from '../../registry/strategies/table/table.ts';
import type { Strategy } from '../../registry/strategy.ts';
import { setCondition } from './conditions.ts';
import { cleanupFinalizer, storageVersionOf } from './facts.ts';

type Validation = typeof import('./validate.ts');
let validation: Validation | undefined;
const loading = lazily(async () => void (validation = await import('./validate.ts')));

const loaded = (): Validation => {
  if (!validation) throw new Error('the validation of CustomResourceDefinitions is not loaded yet');
  return validation;
};

/** SetDefaults_CustomResourceDefinition. */
function defaults(definition: CustomResourceDefinition): void {
  const { spec } = definition;
  if (!spec?.names) return;
  const { names } = spec;
  if (!names.singular) names.singular = (names.kind ?? '').toLowerCase();
  if (!names.listKind && names.kind) names.listKind = `${names.kind}List`;
  spec.conversion ??= { strategy: 'None' };
  const service = spec.conversion.webhook?.clientConfig?.service;
  if (service) service.port ??= 443;
  if (definition.status && !definition.status.storedVersions?.length) noteStorageVersion(definition);
}

/** The storage version is one in which objects may lie from now on. */
function noteStorageVersion(definition: CustomResourceDefinition): void {
  const storage = storageVersionOf(definition)?.name;
  const status = definition.status as CustomResourceDefinitionStatus;
  if (storage === undefined || status.storedVersions?.includes(storage)) return;
  status.storedVersions = [...(status.storedVersions ?? []), storage];
}

export const customResourceDefinition: Strategy<CustomResourceDefinition> = {
  defaults,
  prepareForCreate(_context, definition) {
    // As Go writes them: lists without members are null.
    const none = null as unknown as undefined;
    definition.status = {
      conditions: none as never,
      acceptedNames: { plural: '', kind: '' },
      storedVersions: none as never,
    };
    noteStorageVersion(definition);
  },
  prepareForUpdate(context, definition) {
    if (context.subresource === '' && definition.status) noteStorageVersion(definition);
  },
  load() {
    return validation ? undefined : loading();
  },
  validate(_context, definition) {
    const found = loaded().validateDefinition(definition);
    if (found.length === 0) loaded().noteStructural(definition);
    return found;
  },
  validateUpdate: (_context, definition, old) => loaded().validateDefinitionUpdate(definition, old),
  validateStatusUpdate: (_context, definition) => loaded().validateDefinitionStatus(definition),
  warnings(context, definition, old) {
    if (context.subresource === 'status') return [];
    return loaded().definitionWarnings(definition, old);
  },
  table: createdAtTable,
  beginDeletion(definition, nowMs) {
    const { metadata } = definition;
    if (!metadata.finalizers?.includes(cleanupFinalizer))
      metadata.finalizers = [...(metadata.finalizers ?? []), cleanupFinalizer];
    const status = (definition.status ??= {});
    setCondition(
      status,
      {
        type: 'Terminating',
        status: 'True',
        reason: 'InstanceDeletionPending',
        message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
      },
      nowMs,
    );
  },
};
