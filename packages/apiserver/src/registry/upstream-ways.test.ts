// Ways of upstream's server that the comparison with it found missing here (tests/upstream).
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, batch, core, flowcontrol } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { DaemonSet, StatefulSet } from '@cloudless/kube/types/apps-v1';
import type { Job } from '@cloudless/kube/types/batch-v1';
import type { ConfigMap, PersistentVolume, Pod, PodSpec } from '@cloudless/kube/types/core-v1';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

const namespace = 'default';
const container = { name: 'c', image: 'i' };
const labels = { app: 'x' };
const workload = (spec: object, podSpec: Partial<PodSpec> = {}) => ({
  selector: { matchLabels: labels },
  template: { metadata: { labels }, spec: { containers: [container], ...podSpec } },
  ...spec,
});

describe('as upstream', () => {
  let test: TestServer;
  let client: KubeClient;
  before(async () => {
    test = await startTestServer();
    client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
  });
  after(() => test[Symbol.asyncDispose]());

  const create = async <T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    rest: object,
  ): Promise<T> =>
    await client.create(resource, { metadata: { name }, ...rest } as T, {
      namespace: resource.namespaced ? namespace : undefined,
      fieldManager: 'me',
    });
  const owned = ({ metadata }: KubeObject): string =>
    JSON.stringify(metadata.managedFields?.find(({ manager }: ManagedFieldsEntry) => manager === 'me'));
  const refusal = async (attempt: Promise<unknown>): Promise<StatusError> => {
    try {
      await attempt;
    } catch (error) {
      if (error instanceof StatusError) return error;
      throw error;
    }
    throw new assert.AssertionError({ message: 'nothing was refused' });
  };

  it('keeps no field of a feature that is off, and still says whose it is', async () => {
    const lifecycle = { stopSignal: 'SIGINT' };
    const pod: Pod = await create(core.pods, 'signal', {
      spec: { os: { name: 'linux' }, containers: [{ ...container, lifecycle }] },
    });
    assert.equal(pod.spec?.containers[0]?.lifecycle?.stopSignal, undefined);
    assert.match(owned(pod), /f:stopSignal/);
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } };
    const set: StatefulSet = await create(apps.statefulsets, 'web', {
      spec: workload({ serviceName: 'web', updateStrategy }),
    });
    assert.equal(set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable, undefined);
    assert.match(owned(set), /f:maxUnavailable/);
  });

  it('judges no names of a StatefulSet’s template that its controller gives', async () => {
    const names = { hostname: 'Bad_Name!', subdomain: 'Bad_Name!' };
    await create(apps.statefulsets, 'named', { spec: workload({ serviceName: 'web' }, names) });
  });

  it('takes the one change policy of SELinux that needs no feature, and another only in place of one', async () => {
    const policy = (seLinuxChangePolicy: string) => ({ securityContext: { seLinuxChangePolicy } });
    const text =
      /securityContext.seLinuxChangePolicy: Unsupported value: "MountOption": supported values: "Recursive"/;
    const attempt = create(apps.deployments, 'linux', { spec: workload({}, policy('MountOption')) });
    assert.match((await refusal(attempt)).message, text);
    const made = await create(apps.deployments, 'linux', { spec: workload({}, policy('Recursive')) });
    const spec = workload({}, policy('MountOption'));
    await client.update(apps.deployments, { ...made, spec }, { namespace });
  });

  it('gives the generation of a DaemonSet’s template to whoever wrote the set', async () => {
    const set: DaemonSet = await create(apps.daemonsets, 'agent', { spec: workload({}) });
    assert.equal(set.metadata.annotations?.['deprecated.daemonset.template.generation'], '1');
    assert.match(owned(set), /f:deprecated.daemonset.template.generation/);
  });

  it('gives the fields of a reference that is granular where it stands to their manager', async () => {
    const volume: PersistentVolume = await create(core.persistentvolumes, 'v', {
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path: '/v' },
        claimRef: { namespace, name: 'c' },
      },
    });
    assert.match(
      owned(volume),
      /"f:claimRef":\{"f:name":\{\},"f:namespace":\{\}\}|"f:claimRef":\{".":\{\},"f:name"/,
    );
  });

  it('shows the generated labels of a job’s template on a job that has none of its own', async () => {
    const template = { metadata: { labels }, spec: { containers: [container], restartPolicy: 'Never' } };
    const job: Job = await create(batch.jobs, 'once', { spec: { template } });
    assert.deepEqual(job.metadata.labels, job.spec?.template?.metadata?.labels);
    assert.equal(job.metadata.labels?.['batch.kubernetes.io/job-name'], 'once');
  });

  it('makes podIP and podIPs one, and a negative grace period one second', async () => {
    const pod = await create(core.pods, 'grace', {
      spec: { containers: [container], terminationGracePeriodSeconds: -7 },
    });
    assert.equal(pod.spec?.terminationGracePeriodSeconds, 1);
    const report = async (status: object): Promise<Pod> =>
      await client.patch(core.pods, 'grace', 'merge', { status }, { namespace, subresource: 'status' });
    assert.deepEqual((await report({ podIP: '10.0.0.1' })).status?.podIPs, [{ ip: '10.0.0.1' }]);
    const { status } = await report({ podIP: '10.0.0.2', podIPs: [{ ip: '10.0.0.3' }, { ip: 'fd00::3' }] });
    assert.deepEqual(status?.podIPs, [{ ip: '10.0.0.2' }]);
    const error = await refusal(report({ podIP: 'x', podIPs: null }));
    assert.match(error.message, /status\.podIPs\[0\]: Invalid value: "x": must be a valid IP address/);
  });

  it('looks no further behind a deadline that moves out', async () => {
    const made: Pod = await create(core.pods, 'late', {
      spec: { containers: [container], activeDeadlineSeconds: 10 },
    });
    const spec = { ...made.spec, activeDeadlineSeconds: 11, hostname: 'other' } as PodSpec;
    const error = await refusal(client.update(core.pods, { ...made, spec }, { namespace }));
    assert.deepEqual(
      error.details?.causes?.map(({ field }) => field),
      ['spec.activeDeadlineSeconds'],
    );
  });

  it('lets sidecars have rules of restart, and judges them', async () => {
    const sidecar = (rules: object[]) => ({
      spec: {
        containers: [container],
        initContainers: [{ ...container, name: 's', restartPolicy: 'Always', restartPolicyRules: rules }],
      },
    });
    await create(
      core.pods,
      'rules',
      sidecar([{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [3] } }]),
    );
    const error = await refusal(create(core.pods, 'rules-2', sidecar([{ action: 'x' }])));
    const at = 'spec.initContainers[0].restartPolicyRules[0]';
    assert.deepEqual(
      error.details?.causes?.map(({ field }) => field),
      [`${at}.action`, `${at}.exitCodes`],
    );
  });

  it('creates what is applied whatever version the document names', async () => {
    const document = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'new', resourceVersion: '1' } };
    const made: ConfigMap = await client.patch(core.configmaps, 'new', 'apply', document, {
      namespace,
      fieldManager: 'me',
    });
    assert.notEqual(made.metadata.resourceVersion, '1');
  });

  it('says of a uid that is another one what its storage says, with the key', async () => {
    const made = await create(core.configmaps, 'keyed', {});
    const other = { ...made, metadata: { ...made.metadata, uid: 'abc' } };
    const text = (key: string): string =>
      `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ` +
      `Precondition failed: UID in precondition: abc, UID in object meta: ${made.metadata.uid}`;
    const refused = await refusal(client.update(core.configmaps, other, { namespace }));
    assert.ok(refused.message.endsWith(text('/registry/configmaps/default/keyed')), refused.message);
    const dry = await refusal(client.update(core.configmaps, other, { namespace, dryRun: true }));
    assert.ok(dry.message.endsWith(text('/configmaps/default/keyed')), dry.message);
  });

  it('judges the preconditions of a namespace’s deletion in words of their own', async () => {
    await create(core.namespaces, 'gone', {});
    const attempt = client.delete(core.namespaces, 'gone', { preconditions: { uid: 'abc' } });
    assert.match(
      (await refusal(attempt)).message,
      /on namespaces "gone": Precondition failed: UID in precondition: abc/,
    );
  });

  it('names the fields of selectors that a kind does not have as its group does', async () => {
    const text = async (resource: Resource): Promise<string> =>
      (await refusal(client.list(resource, { namespace, fieldSelector: 'spec.x=a' }))).message;
    assert.equal(await text(batch.jobs), 'field label "spec.x" not supported for Job');
    assert.match(await text(apps.replicasets), /^"spec.x" is not a known field selector: only/);
    assert.equal(await text(core.pods), 'field label not supported: spec.x');
  });

  it('applies the condition of a flow schema', async () => {
    const waitFor = async (): Promise<ManagedFieldsEntry> => {
      const until = Date.now() + 10_000;
      for (;;) {
        const { items } = await client.list(flowcontrol.flowschemas);
        const found = items
          .flatMap(({ metadata }) => metadata.managedFields ?? [])
          .find(({ subresource }) => subresource === 'status');
        if (found) return found;
        if (Date.now() > until) throw new Error('no flow schema has a status after 10 s');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await create(flowcontrol.flowschemas, 'mine', {
      spec: { priorityLevelConfiguration: { name: 'nothing' }, matchingPrecedence: 9000 },
    });
    const { manager, operation } = await waitFor();
    assert.deepEqual([manager, operation], ['api-priority-and-fairness-config-consumer-v1', 'Apply']);
  });
});
