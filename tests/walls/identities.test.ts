import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bootstrapControlPlane } from '@cloudless/bootstrap';
import type { Running } from '@cloudless/kube/lifecycle';
import { type NodeContext, nodeContext } from '@cloudless/kube/node/context';
import { authorization } from '@cloudless/kube/resources';
import type { UserInfo } from '@cloudless/kube/user';
import {
  type DefaultTestServer,
  startDefaultTestServer,
} from '../../packages/apiserver/src/testing/default-server.ts';
import type { ClusterConfig } from '../../packages/cli/src/cluster-config.ts';
import { startControlPlaneClients } from '../../packages/cli/src/processes/controllers.ts';

const repository = join(import.meta.dirname, '..', '..');

// Wall 6: each part has an identity of its own, and none uses the admin's.
describe('identities', () => {
  let root: string;
  let context: NodeContext;
  before(async () => {
    root = mkdtempSync('/tmp/cl-');
    context = nodeContext({ root, nodeName: 'node-1' });
    await bootstrapControlPlane({ context, nodeIps: ['192.0.2.10'], serviceIps: ['10.96.0.1'] });
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  describe('of the parts in the control plane’s process, started as `up` starts them', () => {
    let test: DefaultTestServer;
    let parts: Running[];
    const users = new Map<string, UserInfo>();
    before(async () => {
      test = await startDefaultTestServer();
      const api = {
        ...test.server,
        clientFor(user: UserInfo) {
          users.set(user.name, user);
          return test.server.clientFor(user);
        },
      };
      const config = {
        podCidr: '10.244.0.0/16',
        serviceCidr: '10.96.0.0/16',
        disable: [],
      } as unknown as ClusterConfig;
      ({ parts } = startControlPlaneClients(config, context, api));
    });
    after(async () => {
      for (const part of parts) await part.stop();
      await test[Symbol.asyncDispose]();
    });

    it('the scheduler has its own, and each controller its service account', () => {
      const accounts = [...users.keys()].filter((name) =>
        name.startsWith('system:serviceaccount:kube-system:'),
      );
      assert.ok(accounts.length >= 15, `only ${accounts.join(', ')}`);
      const others = [...users.keys()].filter((name) => !accounts.includes(name));
      assert.deepEqual(others, ['system:kube-scheduler']);
      for (const name of ['deployment-controller', 'replicaset-controller', 'endpointslice-controller'])
        assert.ok(users.has(`system:serviceaccount:kube-system:${name}`), name);
    });

    it('none is in system:masters or the administrators’ group', () => {
      for (const { name, groups } of users.values())
        for (const group of groups)
          assert.ok(
            group === 'system:authenticated' || group.startsWith('system:serviceaccounts'),
            `${name} is in ${group}`,
          );
    });

    it('none may do everything, nor what only another part needs', async () => {
      const may = async (user: UserInfo, attributes: Record<string, string>): Promise<boolean> => {
        const review = await test.admin.create(authorization.subjectaccessreviews, {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          metadata: {},
          spec: { user: user.name, groups: [...user.groups], resourceAttributes: attributes },
        });
        return review.status?.allowed === true;
      };
      for (const user of users.values()) {
        assert.equal(await may(user, { verb: '*', group: '*', resource: '*' }), false, user.name);
        assert.equal(
          await may(user, {
            verb: 'create',
            resource: 'clusterrolebindings',
            group: 'rbac.authorization.k8s.io',
          }),
          false,
          user.name,
        );
        assert.equal(await may(user, { verb: 'impersonate', resource: 'users' }), false, user.name);
      }
      const as = (name: string): UserInfo =>
        users.get(`system:serviceaccount:kube-system:${name}`) as UserInfo;
      const own = { verb: 'create', group: 'apps', resource: 'replicasets', namespace: 'default' };
      assert.equal(await may(as('deployment-controller'), own), true);
      assert.equal(await may(as('replicaset-controller'), own), false);
      assert.equal(
        await may(as('endpointslice-controller'), { verb: 'get', resource: 'secrets', namespace: 'default' }),
        false,
      );
    });
  });

  it('system:masters is in one kubeconfig, which no process reads, and in no other certificate', () => {
    const masters: string[] = [];
    for (const path of globSync('**/*.{crt,conf}', { cwd: join(root, 'etc/kubernetes') })) {
      const text = readFileSync(join(root, 'etc/kubernetes', path), 'utf8');
      const data = /client-certificate-data: (\S+)/.exec(text)?.[1];
      const pem = path.endsWith('.conf') ? Buffer.from(data ?? '', 'base64') : text;
      if (/^O=system:masters$/m.test(new X509Certificate(pem).subject)) masters.push(path);
    }
    assert.deepEqual(masters, ['super-admin.conf']);
    const readers = globSync('packages/{cli,kubelet,network,dns,controllers,scheduler}/src/**/*.ts', {
      cwd: repository,
    }).filter(
      (file) =>
        !file.endsWith('.test.ts') &&
        readFileSync(join(repository, file), 'utf8').includes('super-admin.conf'),
    );
    assert.deepEqual(readers, []);
  });

  it('the node’s kubeconfig is the node’s', () => {
    const text = readFileSync(context.paths.kubeletKubeconfig, 'utf8');
    const data = /client-certificate-data: (\S+)/.exec(text)?.[1] ?? '';
    assert.deepEqual(new X509Certificate(Buffer.from(data, 'base64')).subject.split('\n').sort(), [
      'CN=system:node:node-1',
      'O=system:nodes',
    ]);
  });

  it('only the API server’s own client, which its hooks use, claims to be in system:masters', () => {
    const claims = globSync('packages/*/src/**/*.ts', { cwd: repository })
      .filter((file) => !/\.test\.ts$|\/testing\/|\/generated\//.test(file))
      .filter((file) =>
        /(groups|organizations): \[[^\]]*'system:masters'/.test(readFileSync(join(repository, file), 'utf8')),
      )
      .toSorted();
    assert.deepEqual(claims, [
      'packages/apiserver/src/server/start.ts',
      'packages/bootstrap/src/pki/plan.ts',
    ]);
  });
});
