import type { KubeClient } from '@cloudless/kube/client/client';
import { apps } from '@cloudless/kube/resources';
import { isAlreadyExists, isNotFound } from '@cloudless/kube/status';
import type { ControllerRevision, DaemonSet } from '@cloudless/kube/types/apps-v1';
import { podTemplateHash } from '../deployment/hash.ts';
import { controllerOf, controllerReference } from '../owner/controller-ref.ts';
import { canonicalJson } from '../runtime/compare.ts';
import { revisionHashLabel } from './placement.ts';

/** What a ControllerRevision of a DaemonSet holds: a patch that puts its template back. */
export function revisionData(ds: DaemonSet): Record<string, unknown> {
  return { spec: { template: { ...ds.spec?.template, $patch: 'replace' } } };
}

const identity = (revision: ControllerRevision): string => canonicalJson(revision.data ?? {});

/** The template was hashed with this count of collisions. */
class NameTaken extends Error {}
export const isNameTaken = (error: unknown): boolean => error instanceof NameTaken;

/**
 * The revision of the template as it is now, made if there is none; it carries the highest number. `revisions` are
 * those the DaemonSet owns (upstream: daemon/update.go, constructHistory).
 */
export async function currentRevision(
  client: KubeClient,
  ds: DaemonSet,
  revisions: readonly ControllerRevision[],
  signal: AbortSignal,
): Promise<ControllerRevision> {
  const data = revisionData(ds);
  const same = revisions.filter((revision) => identity(revision) === canonicalJson(data));
  const highest = Math.max(0, ...revisions.map((revision) => revision.revision));
  const found = same.sort((a, b) => b.revision - a.revision)[0];
  if (found && found.revision === highest) return found;
  if (found) return client.update(apps.controllerrevisions, { ...found, revision: highest + 1 }, { signal });
  const hash = podTemplateHash(ds.spec?.template, ds.status?.collisionCount);
  const name = `${ds.metadata.name}-${hash}`;
  const revision: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name,
      namespace: ds.metadata.namespace ?? '',
      labels: { ...ds.spec?.template.metadata?.labels, [revisionHashLabel]: hash },
      ...(ds.metadata.annotations ? { annotations: ds.metadata.annotations } : {}),
      ownerReferences: [controllerReference(apps.daemonsets, ds)],
    },
    data,
    revision: highest + 1,
  };
  try {
    return await client.create(apps.controllerrevisions, revision, { signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const namespace = ds.metadata.namespace;
    const existing = await client.get(apps.controllerrevisions, name, { namespace, signal });
    const mine = controllerOf(existing)?.uid === ds.metadata.uid;
    if (mine && identity(existing) === canonicalJson(data)) return existing;
    throw new NameTaken(`the name ${name} is taken by another revision`, { cause: error });
  }
}

/** Deletes the oldest revisions that no pod is of, beyond those kept for going back. */
export async function forgetRevisions(
  client: KubeClient,
  ds: DaemonSet,
  revisions: readonly ControllerRevision[],
  current: ControllerRevision,
  hashesInUse: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const old = revisions.filter((revision) => revision.metadata.uid !== current.metadata.uid);
  const surplus = old.length - (ds.spec?.revisionHistoryLimit ?? 10);
  if (surplus <= 0) return;
  const idle = old
    .filter((revision) => !hashesInUse.has(revision.metadata.labels?.[revisionHashLabel] ?? ''))
    .sort((a, b) => a.revision - b.revision);
  for (const revision of idle.slice(0, surplus)) {
    const { name = '', namespace } = revision.metadata;
    try {
      await client.delete(apps.controllerrevisions, name, { namespace, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
