import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceAccountFolder } from '../node/machine-paths.ts';
import { type HttpsKubeClient, httpsClient } from './https.ts';

/** Whether this process runs in a pod that has a service account (upstream: client-go/rest.InClusterConfig). */
export function isInCluster(folder: string = serviceAccountFolder): boolean {
  return process.env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(join(folder, 'token'));
}

/** The namespace of this pod; undefined outside of one. */
export function podNamespace(folder: string = serviceAccountFolder): string | undefined {
  const path = join(folder, 'namespace');
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

/** A client with the pod's service account. Call it where {@link isInCluster}. */
export function inClusterClient(userAgent: string, folder: string = serviceAccountFolder): HttpsKubeClient {
  const host = process.env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  return httpsClient({
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(join(folder, 'ca.crt'), 'utf8'),
    tokenFile: join(folder, 'token'),
    userAgent,
  });
}
