import type { Ask, Peer } from './peer.ts';
import type { Tested } from './resources.ts';
import type { Servers } from './servers.ts';

const json = { 'content-type': 'application/json' };

const post = (path: string, object: object): Ask => ({
  method: 'POST',
  path,
  headers: json,
  body: JSON.stringify(object),
});

/** A user with rights of `resourceclaims/status` and of the devices of one driver. */
export const claimReporter = 'claim-reporter';

/** What samples refer to: controllers would make some of it. */
const fixtures: readonly Ask[] = [
  ...['default', 'web'].map((name) =>
    post('/api/v1/namespaces/default/serviceaccounts', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name },
    }),
  ),
  post('/apis/scheduling.k8s.io/v1/priorityclasses', {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'high' },
    value: 1000,
  }),
  // Who may write the status of claims, and of devices only those of one driver.
  post('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'claim-reporter' },
    rules: [
      {
        apiGroups: ['resource.k8s.io'],
        resources: ['resourceclaims', 'resourceclaims/status'],
        verbs: ['get', 'patch'],
      },
      {
        apiGroups: ['resource.k8s.io'],
        resources: ['resourceclaims/driver'],
        resourceNames: ['gpu.example.com'],
        verbs: ['arbitrary-node:patch'],
      },
    ],
  }),
  post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'claim-reporter' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'claim-reporter' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: claimReporter }],
  }),
];

/** Until the namespace and priority classes are there, and a pod would be admitted: caches of admission lag. */
async function waitForBasics(peer: Peer): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'probe' },
    spec: { priorityClassName: 'high', serviceAccountName: 'web', containers: [{ name: 'a', image: 'b' }] },
  };
  for (let i = 0; i < 300; i++) {
    const { status } = await peer.send(post('/api/v1/namespaces/default/pods?dryRun=All', pod));
    if (status === 201) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${peer.name}: no pod is admitted in namespace default after 30 s`);
}

/** A group that is not served answers with plain text. */
function messageOf(body: string): string {
  if (!body.startsWith('{')) return body.trim();
  return (JSON.parse(body) as { message?: string }).message ?? '';
}

/**
 * Makes the objects that stand on both servers while cases run. Answers with a line for each sample that one of the
 * servers refused: such a kind is tested by refusals only.
 */
export async function prepareServers(servers: Servers, tested: readonly Tested[]): Promise<string[]> {
  const peers = [servers.upstream, servers.ours];
  for (const peer of peers) {
    for (const fixture of fixtures) {
      for (let i = 0; i < 50; i++) {
        const { status } = await peer.send(fixture);
        if (status === 201 || status === 409) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await waitForBasics(peer);
  }
  const lines: string[] = [];
  for (const { collection, base, label, facts } of tested) {
    for (const peer of peers) {
      const answer = await peer.send(post(collection, base));
      const storedElsewhere = answer.status === 409 && facts.storage?.version !== facts.version;
      if (answer.status === 201 || storedElsewhere) continue;
      lines.push(`${label}: ${peer.name} answers ${answer.status}: ${messageOf(answer.body.toString())}`);
    }
  }
  return lines;
}
