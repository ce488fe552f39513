import { describe, it } from 'node:test';
import { rbac } from '@cloudless/kube/resources';
import type { ClusterRole } from '@cloudless/kube/types/rbac-v1';
import { Bench } from '../testing/bench.ts';
import { startClusterRoleAggregation } from './cluster-role-aggregation.ts';

const rule = (resource: string): object => ({ apiGroups: [''], resources: [resource], verbs: ['get'] });
const role = (name: string, labels: Record<string, string>, ...resources: string[]): ClusterRole => ({
  metadata: { name, labels },
  rules: resources.map(rule) as ClusterRole['rules'] & object,
});

describe('aggregated cluster roles', () => {
  it('hold the rules of the roles they select, as those come, change and go', async () => {
    await using bench = new Bench();
    bench.cluster.seed(
      rbac.clusterroles,
      {
        metadata: { name: 'view' },
        aggregationRule: { clusterRoleSelectors: [{ matchLabels: { 'to-view': 'true' } }] },
      },
      role('b', { 'to-view': 'true' }, 'pods', 'services'),
      role('a', { 'to-view': 'true' }, 'pods'),
      role('other', {}, 'secrets'),
    );
    await bench.start(startClusterRoleAggregation);
    const resources = (): string =>
      (bench.cluster.object(rbac.clusterroles, 'view')?.rules ?? [])
        .map((one) => one.resources?.join())
        .join(' ');
    await bench.until(() => resources() === 'pods services', 'the rules');
    bench.cluster.seed(rbac.clusterroles, role('c', { 'to-view': 'true' }, 'nodes'));
    await bench.until(() => resources() === 'pods services nodes', 'one more');
    bench.cluster.change(rbac.clusterroles, 'b', undefined, (copy) => (copy.metadata.labels = {}));
    await bench.until(() => resources() === 'pods nodes', 'one less');
    bench.cluster.remove(rbac.clusterroles, 'c');
    await bench.until(() => resources() === 'pods', 'another less');
    bench.cluster.change(rbac.clusterroles, 'view', undefined, (copy) => (copy.rules = []));
    await bench.until(() => resources() === 'pods', 'the repair');
  });
});
