import { randomBytes } from 'node:crypto';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';

/** Upstream: the controller's --ml-secret-name, and the field in it. */
export const memberlistSecret = 'memberlist';
export const secretField = 'secretkey';

/**
 * Makes the Secret that the speakers' gossip is encrypted with, unless there is one. As MetalLB's controller makes it: 16
 * random bytes, as unpadded base64 text (internal/k8s/k8s.go: CreateMlSecret).
 */
export async function ensureMemberlistSecret(options: {
  client: KubeClient;
  namespace: string;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { client, namespace, signal } = options;
  const text = randomBytes(16).toString('base64').replace(/=+$/, '');
  try {
    await client.create(
      core.secrets,
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: memberlistSecret, namespace },
        data: { [secretField]: Buffer.from(text).toString('base64') },
      },
      { namespace, signal },
    );
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
