import { resolve } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { defaultPorts } from '@cloudless/kube/node/context';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { loadConfig } from '../../cluster-config.ts';
import { UsageError } from '../../options.ts';
import { namedCluster, portOf } from '../named-cluster.ts';
import { userAgent } from './listen.ts';

export interface LocalFlags {
  kubeconfig?: string;
  root: string;
  port?: string;
  namespace: string;
  output: string;
}

/** No authoritative DNS could be asked; the message says what was tried and the remedy. */
export class NoDnsError extends Error {
  override readonly name = 'NoDnsError';
}

const timeoutMs = 5000;
const podSelector = 'app.kubernetes.io/name=dns,app.kubernetes.io/component=external';

/** Whether the output is to be JSON. Throws {@link UsageError} for other formats. */
export function isJson({ output }: { output: string }): boolean {
  if (output !== 'text' && output !== 'json') throw new UsageError(`-o ${output}: expected text or json`);
  return output === 'json';
}

/** Ports of the DNS process below `root`. */
export function localPorts(root: string): { dns: number; health: number } {
  const ports = { ...defaultPorts, ...loadConfig(resolve(root))?.ports };
  return { dns: ports.dnsExternal, health: ports.dnsExternalHealth };
}

/**
 * A page of the authoritative DNS: that of this machine or, where a cluster is named by `--kubeconfig` or KUBECONFIG, of a
 * pod there through the API server. Throws {@link NoDnsError}.
 */
export async function askPage<T>(flags: LocalFlags, path: string): Promise<T> {
  const isNamed = flags.kubeconfig !== undefined;
  const port = flags.port === undefined ? localPorts(flags.root).health : portOf('--port', flags.port);
  const local = isNamed ? undefined : await localPage<T>(port, path);
  if (local !== undefined) return local;
  // Where `up` runs, its own process is the one; KUBECONFIG names that cluster, too.
  const isHere = !isNamed && loadConfig(resolve(flags.root))?.role === 'up';
  const client = isHere ? undefined : namedCluster(flags.kubeconfig, userAgent);
  if (client) return await podPage<T>(client, flags.namespace, path);
  throw new NoDnsError(
    `no authoritative DNS answers on 127.0.0.1:${port}: it starts with the first zones (cloudless dns values FILE, or cloudless dns external), here or on another node; name its port with --port, or a cluster with --kubeconfig`,
  );
}

async function localPage<T>(port: number, path: string): Promise<T | undefined> {
  const { request } = await import('node:http');
  return new Promise((done, fail) => {
    const asked = request({ host: '127.0.0.1', port, path, timeout: timeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode !== 200)
          fail(
            new NoDnsError(
              `what answers on 127.0.0.1:${port} is no authoritative DNS: ${text.slice(0, 100)}`,
            ),
          );
        else done(JSON.parse(text) as T);
      });
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => done(undefined));
    asked.end();
  });
}

async function podPage<T>(client: KubeClient, namespace: string, path: string): Promise<T> {
  const { items } = await client.list(core.pods, { namespace, labelSelector: podSelector });
  const pod = items.find(({ status }) => status?.phase === 'Running');
  if (!pod)
    throw new NoDnsError(
      `no pod of the authoritative DNS runs in ${namespace}: cloudless dns install --manifests --image … brings it`,
    );
  const { name } = pod.metadata;
  try {
    const at = `/api/v1/namespaces/${namespace}/pods/http:${name}:${defaultPorts.dnsExternalHealth}/proxy${path}`;
    return JSON.parse(await client.raw('GET', at)) as T;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw new NoDnsError(
      `pod ${namespace}/${name} could not be asked through the API server (${error.message}): kubectl -n ${namespace} port-forward ${name} ${defaultPorts.dnsExternalHealth}, and ask again without --kubeconfig`,
      { cause: error },
    );
  }
}
