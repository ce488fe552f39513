import { core, storage } from '@cloudless/kube/resources';
import type { Pod, Volume } from '@cloudless/kube/types/core-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../../authz/authorizer.ts';
import type { Caches } from '../../cache/cache.ts';

function driverOfClaim(caches: Caches, namespace: string, claim: string): string | undefined {
  const volumeName = caches.of(core.persistentvolumeclaims).get(namespace, claim)?.spec?.volumeName;
  if (!volumeName) return undefined;
  return caches.of(core.persistentvolumes).get('', volumeName)?.spec?.csi?.driver;
}

function volumeAllows(caches: Caches, pod: Pod, volume: Volume, audience: string): boolean {
  const projects = volume.projected?.sources?.some(
    ({ serviceAccountToken }) => serviceAccountToken && (serviceAccountToken.audience ?? '') === audience,
  );
  if (projects) return true;
  const namespace = pod.metadata.namespace ?? '';
  const claim =
    volume.persistentVolumeClaim?.claimName ??
    (volume.ephemeral ? `${pod.metadata.name}-${volume.name}` : undefined);
  const driver =
    volume.csi?.driver ?? (claim === undefined ? undefined : driverOfClaim(caches, namespace, claim));
  if (driver === undefined) return false;
  const requests = caches.of(storage.csidrivers).get('', driver)?.spec.tokenRequests ?? [];
  return requests.some((request) => request.audience === audience);
}

/**
 * Why a node may not ask for a token with these audiences; undefined when it may: a volume of the pod wants that
 * audience, or RBAC lets the node ask for it (KEP-4412).
 */
export async function audienceProblem(
  parts: { caches: Caches; authorizer: Authorizer },
  request: { user: UserInfo; namespace: string; account: string; pod: Pod; audiences: readonly string[] },
): Promise<string | undefined> {
  const { caches, authorizer } = parts;
  const { user, namespace, account, pod, audiences } = request;
  if (audiences.length > 1) return 'node may only request 0 or 1 audiences';
  const audience = audiences[0] ?? '';
  const volumes = pod.spec?.volumes ?? [];
  if (volumes.some((volume) => volume.csi || volume.persistentVolumeClaim || volume.ephemeral))
    await Promise.all(
      [core.persistentvolumeclaims, core.persistentvolumes, storage.csidrivers].map(
        (resource) => caches.of(resource as typeof core.persistentvolumes).ready,
      ),
    );
  if (volumes.some((volume) => volumeAllows(caches, pod, volume, audience))) return undefined;
  const { verdict } = authorizer.authorize({
    user,
    isResource: true,
    verb: 'request-serviceaccounts-token-audience',
    path: '',
    apiPrefix: 'api',
    group: '',
    version: 'v1',
    namespace,
    resource: audience,
    subresource: '',
    name: account,
  });
  if (verdict === 'allow') return undefined;
  return `audience ${JSON.stringify(audience)} not found in pod spec volume, ${user.name} is not authorized to request tokens for this audience`;
}
