import type { FieldError } from '@cloudless/kube/field';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { schemaOf } from '@cloudless/kube/schema/schema';
import { zeroStruct } from '@cloudless/kube/schema/zero';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Entry } from '../cache/entry.ts';
import { checkAdmittedFields, trackFields } from '../managed-fields/track.ts';
import { withConversions } from '../storage/conversion-needed.ts';
import { newTransaction } from '../storage/transaction.ts';
import { commitObject, raceLost } from './commit.ts';
import { maxRaces, type WriteContext } from './context.ts';
import { fillSystemFields, generatedName, matchNamespace, wipeSystemFields } from './metadata.ts';
import type { Registry, StoredResource } from './registry.ts';
import { hasGeneration, keepsStatusOnCreate } from './rules.ts';
import { nameRuleOf, takesAnyFinalizer, validateObjectMeta } from './validation/metadata.ts';
import { inStorage } from './view.ts';

/** A status of which nothing is set, with the members that Go always writes. */
function emptyStatus(resource: Resource): Record<string, unknown> {
  const type = schemaOf(resource)?.field('status')?.type;
  return type?.kind === 'struct' ? zeroStruct(type.struct) : {};
}

/** Attempts to find a free generated name (apiserver/pkg/registry/generic/registry/store.go). */
const maxNameAttempts = 8;

/** 422 with upstream's list of causes. */
export const invalid = (stored: StoredResource, name: string, found: readonly FieldError[]): StatusError =>
  errors.invalid(stored.resource, name, [...found]);

/**
 * Creates an object. `body` gives a fresh object of the storage version, decoded and defaulted, at every call: a
 * race lost on a generated name or an allocation starts over. `anyVersion`: a resourceVersion in it is ignored, as where
 * an update creates (upstream: only etcd3's Create refuses one).
 */
export async function createObject(
  registry: Registry,
  context: WriteContext,
  body: () => KubeObject,
  options: { anyVersion?: boolean } = {},
): Promise<Entry> {
  const stored = registry.open(context.served.resource);
  let names = 0;
  for (let races = 0; races < maxRaces; races++) {
    const object = body();
    if (options.anyVersion) delete object.metadata.resourceVersion;
    open(stored, context, object);
    await withConversions(() => trackFields(registry, stored, context, object, undefined));
    const transaction = newTransaction();
    const generated = await finish(registry, stored, context, object, transaction);
    const name = object.metadata.name as string;
    const outcome = await commitObject(registry, stored, {
      namespace: context.namespace,
      name,
      expected: 0,
      object: await inStorage(stored, context.served.resource, object),
      transaction,
      dryRun: context.dryRun,
    });
    if (outcome.done) {
      if (context.dryRun && (await stored.read(context.namespace, name))) {
        throw errors.alreadyExists(context.served.resource, name);
      }
      return outcome.entry;
    }
    if (outcome.lost === 'transaction') continue;
    if (!generated) throw alreadyExists(context, name, outcome.current);
    races--;
    if (++names >= maxNameAttempts) throw nameConflict(context, name);
  }
  throw raceLost(context.served.resource, context.name);
}

/** What a new object may say of itself, before anybody else looks at it. */
function open(stored: StoredResource, context: WriteContext, { metadata }: KubeObject): void {
  if ((metadata.resourceVersion ?? '') !== '' && metadata.resourceVersion !== '0') {
    throw errors.badRequest('resourceVersion should not be set on objects to be created');
  }
  delete metadata.resourceVersion;
  if (context.name !== '') metadata.name ??= context.name;
  matchNamespace(metadata, stored.resource, context.namespace);
  wipeSystemFields(metadata);
}

/** What only the server sets, after mutating admission (rest.BeforeCreate); whether the name was generated. */
function complete(
  registry: Registry,
  stored: StoredResource,
  context: WriteContext,
  object: KubeObject,
): boolean {
  const { metadata } = object;
  matchNamespace(metadata, stored.resource, context.namespace);
  fillSystemFields(metadata, registry.parts.clock.nowMs());
  const generated = Boolean(metadata.generateName) && !metadata.name;
  if (generated) metadata.name = generatedName(metadata.generateName as string);
  const keepsStatus = stored.custom !== undefined || keepsStatusOnCreate(context.served.resource);
  if (context.served.subresources.has('status') && !keepsStatus) {
    (object as { status?: unknown }).status = emptyStatus(stored.resource);
  }
  if (hasGeneration(stored.resource)) metadata.generation = 1;
  return generated;
}

/** Admission, strategy, allocation and validation, in the order of the path of a write; whether the name was generated. */
async function finish(
  registry: Registry,
  stored: StoredResource,
  context: WriteContext,
  object: KubeObject,
  transaction: ReturnType<typeof newTransaction>,
): Promise<boolean> {
  const strategy = stored.strategyOf(context.served.resource);
  const request = registry.admissionRequest(context, 'CREATE', { object, old: undefined, transaction });
  const { managedFields } = object.metadata;
  await registry.admit(request);
  checkAdmittedFields(object, managedFields, (text) => context.warn(text));
  const generated = complete(registry, stored, context, object);
  const strategyContext = registry.strategyContext(context);
  strategy.dropDisabledFields?.(object);
  strategy.prepareForCreate?.(strategyContext, object);
  await strategy.allocate?.(strategyContext, { object, old: undefined, transaction });
  const rules = {
    namespaced: stored.resource.namespaced,
    nameRule: nameRuleOf(stored.resource),
    anyFinalizer: takesAnyFinalizer(stored.resource, stored.custom !== undefined),
  };
  const found = [
    ...validateObjectMeta(object.metadata, rules),
    ...(strategy.validate?.(strategyContext, object) ?? []),
  ];
  if (found.length > 0) throw invalid(stored, object.metadata.name ?? '', found);
  for (const text of strategy.warnings?.(strategyContext, object, undefined) ?? []) context.warn(text);
  strategy.canonicalize?.(object);
  await registry.validate(request);
  return generated;
}

function alreadyExists(context: WriteContext, name: string, current: Entry | undefined): StatusError {
  const error = errors.alreadyExists(context.served.resource, name);
  if (!current?.object.metadata.deletionTimestamp) return error;
  return new StatusError(
    error.code,
    error.reason,
    `object is being deleted: ${error.message}`,
    error.details,
  );
}

/** Upstream: errors.NewGenerateNameConflict. */
function nameConflict(context: WriteContext, name: string): StatusError {
  const error = errors.alreadyExists(context.served.resource, name);
  return new StatusError(
    409,
    'AlreadyExists',
    `${error.message}, the server was not able to generate a unique name for the object`,
    {
      ...error.details,
      retryAfterSeconds: 1,
    },
  );
}
