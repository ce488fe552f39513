import { core } from '../generated/resources.ts';
import type { Pod } from '../generated/types/core-v1.ts';
import { isNotFound } from '../status.ts';
import type { KubeClient } from './client.ts';

/**
 * Merges `status` into that of the pod in the API. A pod that is gone needs none; one of the same name that came after
 * it, which the uid tells, is left alone (the API refuses: `Conflict`).
 */
export async function patchPodStatus(
  client: KubeClient,
  pod: Pod,
  status: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const { name = '', namespace, uid } = pod.metadata;
  const patch = { metadata: { uid }, status };
  try {
    await client.patch(core.pods, name, 'strategic', patch, { namespace, subresource: 'status', signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
