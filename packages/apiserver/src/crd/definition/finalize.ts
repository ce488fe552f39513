/** The end of a definition: its objects first (apiextensions-apiserver/pkg/controller/finalizer). */
import { apiextensions } from '@cloudless/kube/resources';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { WriteContext } from '../../registry/context.ts';
import { deleteCollection } from '../../registry/delete.ts';
import type { Registry } from '../../registry/registry.ts';
import type { PartContext } from '../../server/options.ts';
import type { DefinedKind } from '../kind/custom-kind.ts';
import { setCondition } from './conditions.ts';
import { cleanupFinalizer, isTrue } from './facts.ts';

const crds = apiextensions.customresourcedefinitions;
/** How long the objects' own finalizers are waited for before the definition says so (upstream: 1 minute). */
const waitMs = 60_000;

interface Parts {
  registry: Registry;
  context: PartContext;
  /** Who the server itself is. */
  user: UserInfo;
}

type Reason = { status: 'True' | 'False'; reason: string; message: string };

/**
 * Deletes every object of a definition that is being deleted, waits until all are gone, and lets the definition go.
 * Throws when that cannot be done yet; the definition's Terminating condition says why.
 */
export async function finalizeDefinition(
  parts: Parts,
  definition: CustomResourceDefinition,
  kindOf: () => DefinedKind | undefined,
): Promise<void> {
  if (!definition.metadata.finalizers?.includes(cleanupFinalizer)) return;
  const begun = await setTerminating(parts, definition, {
    status: 'True',
    reason: 'InstanceDeletionInProgress',
    message: 'CustomResource deletion is in progress',
  });
  const kind = kindOf();
  if (!isTrue(begun, 'Established') || !kind) {
    const told: Reason = {
      status: 'False',
      reason: 'NeverEstablished',
      message: 'resource was never established',
    };
    await setTerminating(parts, begun, told, true);
    return;
  }
  const failure = await deleteInstances(parts, kind);
  if (failure) {
    await setTerminating(parts, begun, failure);
    throw new Error(failure.message);
  }
  const told: Reason = {
    status: 'False',
    reason: 'InstanceDeletionCompleted',
    message: 'removed all instances',
  };
  await setTerminating(parts, begun, told, true);
}

async function setTerminating(
  { context }: Parts,
  definition: CustomResourceDefinition,
  told: Reason,
  done = false,
): Promise<CustomResourceDefinition> {
  const status = { ...definition.status };
  setCondition(status, { type: 'Terminating', ...told }, context.clock.nowMs());
  const metadata = { ...definition.metadata };
  if (done) metadata.finalizers = metadata.finalizers?.filter((name) => name !== cleanupFinalizer) ?? [];
  return await context.client.update(crds, { ...definition, metadata, status }, { subresource: 'status' });
}

/** What went wrong, or nothing when no object is left. */
async function deleteInstances(parts: Parts, kind: DefinedKind): Promise<Reason | undefined> {
  const { registry } = parts;
  const failed = (what: string, error: unknown): Reason => ({
    status: 'True',
    reason: 'InstanceDeletionFailed',
    message: `${what}: ${error instanceof Error ? error.message : String(error)}`,
  });
  const { cache } = registry.open(kind.storage);
  try {
    await cache.fresh();
  } catch (error) {
    return failed('could not list instances', error);
  }
  try {
    await deleteCollection(registry, deletionContext(parts, kind), { namespace: '' }, {});
  } catch (error) {
    return failed('could not issue all deletes', error);
  }
  if (await emptied(parts, kind)) return undefined;
  return {
    status: 'True',
    reason: 'InstanceDeletionCheck',
    message: 'could not confirm zero CustomResources remaining: timed out waiting for the condition',
  };
}

const deletionContext = ({ user }: Parts, kind: DefinedKind): WriteContext => ({
  user,
  served: kind.stored,
  subresource: '',
  namespace: '',
  name: '',
  options: {},
  fieldManager: undefined,
  dryRun: false,
  warn: () => {},
});

/** Waits for the objects' own finalizers; false when they take too long or the server stops. */
async function emptied({ registry, context }: Parts, kind: DefinedKind): Promise<boolean> {
  const { cache } = registry.open(kind.storage);
  await cache.fresh();
  const isEmpty = (): boolean => cache.entries.count('') === 0;
  if (isEmpty()) return true;
  const { clock, signal } = context;
  return await new Promise<boolean>((resolve) => {
    const settle = (result: boolean): void => {
      timer.cancel();
      unsubscribe();
      signal.removeEventListener('abort', stop);
      resolve(result);
    };
    const stop = (): void => settle(false);
    const timer = clock.setTimeout(stop, waitMs);
    const unsubscribe = cache.subscribe(() => {
      if (isEmpty()) settle(true);
    });
    signal.addEventListener('abort', stop, { once: true });
  });
}
