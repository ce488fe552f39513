import { keyOf, splitKey } from '@cloudless/kube/informer/informer';
import { core } from '@cloudless/kube/resources';
import { isAlreadyExists } from '@cloudless/kube/status';
import { isNamespaceTerminating } from '../pods/pod-control.ts';
import { type Controller, type ControllerContext, startQueue } from '../runtime/context.ts';

/** Every namespace has this service account, which pods run as when they name none. */
const serviceAccountName = 'default';

/** Keeps a `default` service account in every namespace (upstream: pkg/controller/serviceaccount). */
export function startServiceAccountController(context: ControllerContext): Controller {
  const client = context.clientFor('service-account-controller');
  const namespaces = context.informers.of(core.namespaces);
  const accounts = context.informers.of(core.serviceaccounts);
  const sync = async (name: string, signal: AbortSignal): Promise<void> => {
    const namespace = namespaces.store.get(name);
    if (!namespace || namespace.status?.phase === 'Terminating') return;
    if (accounts.store.get(`${name}/${serviceAccountName}`)) return;
    try {
      await client.create(
        core.serviceaccounts,
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccountName, namespace: name } },
        { signal },
      );
    } catch (error) {
      if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
    }
  };
  return startQueue(
    context,
    { name: 'serviceaccount', workers: 1, waitFor: [namespaces, accounts], sync },
    (queue) => {
      namespaces.addHandler({
        add: (object) => queue.add(keyOf(object)),
        update: (object) => queue.add(keyOf(object)),
      });
      accounts.addHandler({
        delete: (object) => {
          if (object.metadata.name === serviceAccountName) queue.add(splitKey(keyOf(object)).namespace);
        },
      });
    },
  );
}
