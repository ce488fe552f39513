// Runs the operator on the cluster that KUBECONFIG names, until Ctrl-C: `node examples/operator/main.ts`.
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { startOperator } from './operator.ts';

const path = process.env['KUBECONFIG'];
if (path === undefined) {
  console.error(
    'Set KUBECONFIG to the kubeconfig of a cluster to which crd.yaml and rbac.yaml have been applied.',
  );
  process.exitCode = 1;
} else {
  const client = clientFromKubeconfig(path, { userAgent: 'website-operator' });
  const operator = startOperator({ client });
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  await operator.stop();
  await client.close();
}
