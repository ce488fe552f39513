import { keyOf } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { semanticEqual } from '../runtime/compare.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';

/** Mounted into every pod beside its token. */
const configMapName = 'kube-root-ca.crt';
const description =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/** Keeps the cluster's CA in every namespace (upstream: pkg/controller/certificates/rootcacertpublisher). */
export function startRootCaPublisher(context: ControllerContext, caCertificate: string): Controller {
  const client = context.clientFor('root-ca-cert-publisher');
  const namespaces = context.informers.of(core.namespaces);
  const configMaps = context.informers.of(core.configmaps);
  const data = { 'ca.crt': caCertificate };
  const sync = async (name: string, signal: AbortSignal): Promise<void> => {
    const namespace = namespaces.store.get(name);
    if (!namespace || namespace.status?.phase === 'Terminating') return;
    const current = configMaps.store.get(`${name}/${configMapName}`);
    const annotations = { ...current?.metadata.annotations, 'kubernetes.io/description': description };
    if (
      current &&
      semanticEqual(current.data, data) &&
      semanticEqual(current.metadata.annotations, annotations)
    )
      return;
    try {
      if (current) {
        const next: ConfigMap = { ...current, metadata: { ...current.metadata, annotations }, data };
        await client.update(core.configmaps, next, { signal });
        return;
      }
      const metadata = { name: configMapName, namespace: name, annotations };
      await client.create(
        core.configmaps,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
        { signal },
      );
    } catch (error) {
      if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
    }
  };
  return startQueue(
    context,
    { name: 'root_ca_cert_publisher', workers: 1, waitFor: [namespaces, configMaps], sync },
    (queue) => {
      namespaces.addHandler({
        add: (object) => queue.add(keyOf(object)),
        update: (object) => queue.add(keyOf(object)),
      });
      const enqueue = (object: ConfigMap): void => {
        if (object.metadata.name === configMapName) queue.add(object.metadata.namespace ?? '');
      };
      configMaps.addHandler({ update: enqueue, delete: enqueue });
    },
  );
}
