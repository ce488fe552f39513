/** The flow schemas and priority levels of every cluster (upstream: apiserver/pkg/apis/flowcontrol/bootstrap). */
import type {
  FlowSchema,
  PolicyRulesWithSubjects,
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
  ResourcePolicyRule,
  Subject,
} from '@cloudless/kube/types/flowcontrol-v1';

/** `true`: the server keeps the object's spec as it ships it. */
export const autoUpdateAnnotation = 'apf.kubernetes.io/autoupdate-spec';

/** Objects of one kind of maintenance. */
export interface BootstrapObjects {
  readonly levels: readonly PriorityLevelConfiguration[];
  readonly schemas: readonly FlowSchema[];
}

const metadata = (name: string) => ({ name, annotations: { [autoUpdateAnnotation]: 'true' } });

const level = (name: string, spec: PriorityLevelConfigurationSpec): PriorityLevelConfiguration => ({
  metadata: metadata(name),
  spec,
});

const queued = (
  name: string,
  shares: number,
  lendablePercent: number,
  queues: number,
  handSize: number,
): PriorityLevelConfiguration =>
  level(name, {
    type: 'Limited',
    limited: {
      nominalConcurrencyShares: shares,
      lendablePercent,
      limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } },
    },
  });

const schema = (
  name: string,
  levelName: string,
  matchingPrecedence: number,
  distinguisher: 'ByUser' | 'ByNamespace' | undefined,
  rules: PolicyRulesWithSubjects,
): FlowSchema => ({
  metadata: metadata(name),
  spec: {
    priorityLevelConfiguration: { name: levelName },
    matchingPrecedence,
    ...(distinguisher === undefined ? {} : { distinguisherMethod: { type: distinguisher } }),
    rules: [rules],
  },
});

const groups = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'Group', group: { name } }));
const user = (name: string): Subject => ({ kind: 'User', user: { name } });
const kubeSystemAccounts: Subject = {
  kind: 'ServiceAccount',
  serviceAccount: { name: '*', namespace: 'kube-system' },
};
const everybody = groups('system:unauthenticated', 'system:authenticated');

const onResources = (
  verbs: string[],
  apiGroup: string,
  resources: string[],
  clusterScope: boolean,
): ResourcePolicyRule => ({
  verbs,
  apiGroups: [apiGroup],
  resources,
  ...(clusterScope ? { clusterScope } : {}),
  namespaces: ['*'],
});

/** Every request of these subjects. */
const all = (subjects: Subject[]): PolicyRulesWithSubjects => ({
  subjects,
  resourceRules: [onResources(['*'], '*', ['*'], true)],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
});

/** Without these nothing could be classified: kept as they are, whatever anybody writes. */
export const mandatory: BootstrapObjects = {
  levels: [
    level('catch-all', {
      type: 'Limited',
      limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } },
    }),
    level('exempt', { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } }),
  ],
  schemas: [
    schema('exempt', 'exempt', 1, undefined, all(groups('system:masters'))),
    schema('catch-all', 'catch-all', 10_000, 'ByUser', all(everybody)),
  ],
};

/** A start that administrators may change, once they have set the annotation to `false`. */
export const suggested: BootstrapObjects = {
  levels: [
    queued('system', 30, 33, 64, 6),
    queued('node-high', 40, 25, 64, 6),
    queued('leader-election', 10, 0, 16, 4),
    queued('workload-high', 40, 50, 128, 6),
    queued('workload-low', 100, 90, 128, 6),
    queued('global-default', 20, 50, 128, 6),
  ],
  schemas: [
    schema('system-nodes', 'system', 500, 'ByUser', all(groups('system:nodes'))),
    schema('system-node-high', 'node-high', 400, 'ByUser', {
      subjects: groups('system:nodes'),
      resourceRules: [
        onResources(['*'], '', ['nodes', 'nodes/status'], true),
        onResources(['*'], 'coordination.k8s.io', ['leases'], false),
      ],
    }),
    schema('probes', 'exempt', 2, undefined, {
      subjects: everybody,
      nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
    }),
    schema('system-leader-election', 'leader-election', 100, 'ByUser', {
      subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler'), kubeSystemAccounts],
      resourceRules: [onResources(['get', 'create', 'update'], 'coordination.k8s.io', ['leases'], false)],
    }),
    schema(
      'kube-controller-manager',
      'workload-high',
      800,
      'ByNamespace',
      all([user('system:kube-controller-manager')]),
    ),
    schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', all([user('system:kube-scheduler')])),
    schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', all([kubeSystemAccounts])),
    schema('service-accounts', 'workload-low', 9_000, 'ByUser', all(groups('system:serviceaccounts'))),
    schema('global-default', 'global-default', 9_900, 'ByUser', all(everybody)),
  ],
};
