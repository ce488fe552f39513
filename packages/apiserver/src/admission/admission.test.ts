import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core, networking, rbac, scheduling, storage } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { Pod, PodSpec } from '@cloudless/kube/types/core-v1';
import { type DefaultTestServer, startDefaultTestServer } from '../testing/default-server.ts';

const refused = (code: number, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, pattern);
  return true;
};

let cluster: DefaultTestServer;
let admin: KubeClient;
before(async () => {
  cluster = await startDefaultTestServer();
  ({ admin } = cluster);
});
after(() => cluster[Symbol.asyncDispose]());

/** A namespace with its default service account. */
async function namespace(name: string, labels: Record<string, string> = {}): Promise<void> {
  await admin.create(core.namespaces, { metadata: { name, labels } });
  await admin.create(core.serviceaccounts, { metadata: { name: 'default', namespace: name } });
}

const pod = (space: string, name: string, spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: space },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});
const taking = (requests: Record<string, string>, limits: Record<string, string> = {}): Partial<PodSpec> => ({
  containers: [{ name: 'c', image: 'i', resources: { requests, limits } }],
});

describe('NamespaceLifecycle', () => {
  it('refuses what has no namespace, or one that ends', async () => {
    await assert.rejects(
      admin.create(core.pods, pod('nowhere', 'x')),
      refused(404, /namespaces "nowhere" not found/),
    );
    await namespace('ending');
    await admin.delete(core.namespaces, 'ending');
    await assert.rejects(
      admin.create(core.configmaps, { metadata: { name: 'x', namespace: 'ending' } }),
      refused(403, /unable to create new content in namespace ending because it is being terminated/),
    );
  });

  it('keeps the namespaces that every cluster has', async () => {
    for (const name of ['default', 'kube-system', 'kube-public'])
      await assert.rejects(
        admin.delete(core.namespaces, name),
        refused(403, /this namespace may not be deleted/),
      );
  });
});

describe('ServiceAccount', () => {
  it('waits for the default account of a namespace made a moment ago', async () => {
    await admin.create(core.namespaces, { metadata: { name: 'fresh' } });
    const creating = admin.create(core.pods, pod('fresh', 'x'));
    await admin.create(core.serviceaccounts, { metadata: { name: 'default', namespace: 'fresh' } });
    assert.equal((await creating).spec?.serviceAccountName, 'default');
  });

  it('mounts credentials where none are mounted, once, and none when told so', async () => {
    await namespace('accounts');
    await admin.create(core.serviceaccounts, {
      metadata: { name: 'quiet', namespace: 'accounts' },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'pull' }],
    });
    const own = { name: 'own', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    const made = await admin.create(
      core.pods,
      pod('accounts', 'two', {
        volumes: [{ name: 'own', emptyDir: {} }],
        initContainers: [{ name: 'i', image: 'i' }],
        containers: [
          { name: 'c', image: 'i', volumeMounts: [own] },
          { name: 'd', image: 'i' },
        ],
      }),
    );
    const volumes = made.spec?.volumes?.map(({ name }) => name) ?? [];
    assert.equal(volumes.length, 2);
    assert.match(volumes[1] as string, /^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    assert.deepEqual(
      made.spec?.containers[0]?.volumeMounts?.map(({ name }) => name),
      ['own'],
    );
    assert.deepEqual(
      made.spec?.containers[1]?.volumeMounts?.map(({ name }) => name),
      [volumes[1]],
    );
    const quiet = await admin.create(core.pods, pod('accounts', 'quiet', { serviceAccountName: 'quiet' }));
    assert.equal(quiet.spec?.volumes, undefined);
    assert.deepEqual(quiet.spec?.imagePullSecrets, [{ name: 'pull' }]);
  });
});

describe('Priority', () => {
  it('computes the number, and refuses another one or an unknown class', async () => {
    await namespace('priority');
    const critical = await admin.create(
      core.pods,
      pod('priority', 'a', { priorityClassName: 'system-node-critical' }),
    );
    assert.equal(critical.spec?.priority, 2_000_001_000);
    await assert.rejects(
      admin.create(core.pods, pod('priority', 'y', { priorityClassName: 'none' })),
      refused(403, /no PriorityClass with name none was found/),
    );
    await assert.rejects(
      admin.create(core.pods, pod('priority', 'z', { priority: 7 })),
      refused(403, /the integer value of priority \(7\) must not be provided in pod spec/),
    );
  });

  it('takes the default class, of which there is one', async () => {
    await admin.create(scheduling.priorityclasses, {
      metadata: { name: 'usual' },
      value: 5,
      globalDefault: true,
    });
    await assert.rejects(
      admin.create(scheduling.priorityclasses, {
        metadata: { name: 'second' },
        value: 6,
        globalDefault: true,
      }),
      refused(403, /PriorityClass usual is already marked as default/),
    );
    const made = await admin.create(core.pods, pod('priority', 'usual'));
    assert.deepEqual([made.spec?.priorityClassName, made.spec?.priority], ['usual', 5]);
    await admin.delete(scheduling.priorityclasses, 'usual');
  });
});

describe('default classes', () => {
  it('the newest of those marked, and none where one is named', async () => {
    await namespace('classes');
    const marked = { 'storageclass.kubernetes.io/is-default-class': 'true' };
    await admin.create(storage.storageclasses, {
      metadata: { name: 'fast', annotations: marked },
      provisioner: 'p',
    });
    const claim = (name: string, storageClassName?: string) => ({
      metadata: { name, namespace: 'classes' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Gi' } },
        ...(storageClassName === undefined ? {} : { storageClassName }),
      },
    });
    assert.equal(
      (await admin.create(core.persistentvolumeclaims, claim('a'))).spec?.storageClassName,
      'fast',
    );
    assert.equal(
      (await admin.create(core.persistentvolumeclaims, claim('b', ''))).spec?.storageClassName,
      '',
    );
    await admin.create(networking.ingressclasses, {
      metadata: { name: 'edge', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
      spec: { controller: 'example.com/c' },
    });
    const ingress = await admin.create(networking.ingresses, {
      metadata: { name: 'i', namespace: 'classes' },
      spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } },
    });
    assert.equal(ingress.spec?.ingressClassName, 'edge');
  });
});

describe('LimitRanger', () => {
  it('fills in defaults and holds to the bounds', async () => {
    await namespace('limits');
    await admin.create(core.limitranges, {
      metadata: { name: 'l', namespace: 'limits' },
      spec: {
        limits: [
          {
            type: 'Container',
            default: { cpu: '500m' },
            defaultRequest: { cpu: '100m' },
            max: { cpu: '1' },
            maxLimitRequestRatio: { cpu: '5' },
          },
        ],
      },
    });
    const made = await admin.create(core.pods, pod('limits', 'a'));
    assert.deepEqual(made.spec?.containers[0]?.resources, {
      limits: { cpu: '500m' },
      requests: { cpu: '100m' },
    });
    assert.match(
      made.metadata.annotations?.['kubernetes.io/limit-ranger'] ?? '',
      /cpu request for container c; cpu limit for container c/,
    );
    await assert.rejects(
      admin.create(core.pods, pod('limits', 'b', taking({ cpu: '1' }, { cpu: '2' }))),
      refused(403, /maximum cpu usage per Container is 1, but limit is 2/),
    );
    await assert.rejects(
      admin.create(core.pods, pod('limits', 'c', taking({ cpu: '100m' }, { cpu: '1' }))),
      refused(403, /cpu max limit to request ratio per Container is 5, but provided ratio is 10/),
    );
  });
});

describe('ResourceQuota', () => {
  it('counts objects and what pods ask for; deletion gives back', async () => {
    await namespace('quota');
    await admin.create(core.resourcequotas, {
      metadata: { name: 'q', namespace: 'quota' },
      spec: { hard: { 'requests.cpu': '1', configmaps: '2', pods: '3' } },
    });
    await admin.create(core.pods, pod('quota', 'a', taking({ cpu: '600m' })));
    await assert.rejects(
      admin.create(core.pods, pod('quota', 'b', taking({ cpu: '500m' }))),
      refused(
        403,
        /exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1$/,
      ),
    );
    await assert.rejects(
      admin.create(core.pods, pod('quota', 'c')),
      refused(403, /failed quota: q: must specify requests.cpu for: c/),
    );
    await admin.delete(core.pods, 'a', { namespace: 'quota', gracePeriodSeconds: 0 });
    await admin.create(core.pods, pod('quota', 'd', taking({ cpu: '900m' })));
    const { status } = await admin.get(core.resourcequotas, 'q', { namespace: 'quota' });
    assert.equal(status?.used?.['requests.cpu'], '900m');
    assert.equal(status?.used?.['pods'], '1');
  });

  it('is not exceeded by those who create at the same time', async () => {
    await namespace('race');
    await admin.create(core.resourcequotas, {
      metadata: { name: 'q', namespace: 'race' },
      spec: { hard: { 'count/configmaps': '7' } },
    });
    const attempts = Array.from({ length: 20 }, (_, i) =>
      admin.create(core.configmaps, { metadata: { name: `c${i}`, namespace: 'race' } }).then(
        () => 'created',
        (error: StatusError) => `${error.code}`,
      ),
    );
    const done = await Promise.all(attempts);
    assert.equal(done.filter((outcome) => outcome === 'created').length, 7);
    assert.deepEqual([...new Set(done)].sort(), ['403', 'created']);
    assert.equal((await admin.list(core.configmaps, { namespace: 'race' })).items.length, 7);
  });

  it('of best-effort pods leaves others alone', async () => {
    await namespace('scoped');
    await admin.create(core.resourcequotas, {
      metadata: { name: 'q', namespace: 'scoped' },
      spec: { hard: { pods: '0' }, scopes: ['BestEffort'] },
    });
    await admin.create(core.pods, pod('scoped', 'a', taking({ cpu: '1m' })));
    await assert.rejects(admin.create(core.pods, pod('scoped', 'b')), refused(403, /exceeded quota: q/));
  });
});

describe('RoleEscalation', () => {
  const user = { name: 'jo', groups: ['devs', 'system:authenticated'] };
  const role = (rules: object[]) => ({ metadata: { name: 'r', namespace: 'roles' }, rules }) as never;
  const binding = (name: string, kind: string, roleName: string) =>
    ({
      metadata: { name, namespace: 'roles' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: roleName },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'other' }],
    }) as never;

  before(async () => {
    await namespace('roles');
    await admin.create(rbac.rolebindings, {
      metadata: { name: 'admins', namespace: 'roles' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jo' }],
    });
  });

  it('an administrator of a namespace grants what they have', async () => {
    const jo = cluster.as(user);
    await jo.create(
      rbac.roles,
      role([{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'update'] }]),
    );
    await jo.create(rbac.rolebindings, binding('views', 'ClusterRole', 'view'));
  });

  it('and no more, by role or by binding', async () => {
    const jo = cluster.as(user);
    const more = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];
    await assert.rejects(
      jo.create(rbac.roles, {
        ...(role(more) as object),
        metadata: { name: 'all', namespace: 'roles' },
      }),
      refused(
        403,
        /user "jo" \(groups=\["devs" "system:authenticated"\]\) is attempting to grant RBAC permissions not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}$/,
      ),
    );
    await assert.rejects(jo.update(rbac.roles, role(more)), refused(403, /not currently held/));
    await assert.rejects(
      jo.create(rbac.rolebindings, binding('all', 'ClusterRole', 'cluster-admin')),
      refused(403, /not currently held/),
    );
    await assert.rejects(
      jo.create(rbac.rolebindings, binding('nothing', 'ClusterRole', 'no-such-role')),
      refused(404, /clusterroles.rbac.authorization.k8s.io "no-such-role" not found/),
    );
  });

  it('unless allowed to bind that very role', async () => {
    await admin.create(rbac.clusterroles, {
      metadata: { name: 'binders' },
      rules: [
        {
          apiGroups: ['rbac.authorization.k8s.io'],
          resources: ['clusterroles'],
          resourceNames: ['cluster-admin'],
          verbs: ['bind'],
        },
      ],
    });
    await admin.create(rbac.rolebindings, {
      ...(binding('binders', 'ClusterRole', 'binders') as object),
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jo' }],
    } as never);
    await cluster.as(user).create(rbac.rolebindings, binding('allowed', 'ClusterRole', 'cluster-admin'));
    await assert.rejects(
      cluster.as(user).create(rbac.rolebindings, binding('node', 'ClusterRole', 'system:node')),
      refused(403, /not currently held/),
    );
  });
});
