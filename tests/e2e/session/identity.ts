import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Chapter, Session } from './session.ts';

/** A token for a service account; kubectl before 1.24 has no command for it. */
async function token(s: Session, name: string): Promise<string> {
  if (s.minor >= 24) return (await s.k(`create token ${name} --duration=20m`)).trim();
  const request = '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}';
  const path = `/api/v1/namespaces/${s.namespace}/serviceaccounts/${name}/token`;
  return JSON.parse(await s.feed(request, `create --raw ${path} -f -`)).status.token;
}

/** The cluster of the session's own kubeconfig with this token. (Debian's kubectl 1.20 crashes when it writes one.) */
async function kubeconfigWith(s: Session, token: string): Promise<string> {
  const ofCluster = (field: string): Promise<string> =>
    s.k(`config view --raw --minify -o jsonpath={.clusters[0].cluster.${field}}`);
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: {
          server: await ofCluster('server'),
          'certificate-authority-data': await ofCluster('certificate-authority-data'),
        },
      },
    ],
    users: [{ name: 'bob', user: { token } }],
    contexts: [{ name: 'bob', context: { cluster: 'c', user: 'bob' } }],
    'current-context': 'bob',
  });
}

export const identity: Chapter = {
  'auth can-i': async (s) => {
    assert.equal((await s.k('auth can-i create pods')).trim(), 'yes');
    assert.match(await s.refused('auth can-i create pods --as=nobody'), /no/);
    assert.match(await s.k('auth can-i --list'), /^\*\.\* +\[\] +\[\] +\[\*\]$/m);
    if (s.minor >= 28) assert.match(await s.k('auth whoami'), /^Username +kubernetes-admin$/m);
    // 1.27 knows only the alpha and the beta of it, which are served no longer; those before have no such command.
    else
      assert.match(
        await s.refused('auth whoami'),
        /API is not enabled in the cluster|unknown command "whoami"/,
      );
  },

  'create serviceaccount, role and rolebinding; its token is let in where the role says': async (s) => {
    await s.k('create serviceaccount bob');
    await s.k('create role reader --verb=get,list --resource=configmaps');
    await s.k(`create rolebinding reader --role=reader --serviceaccount=${s.namespace}:bob`);
    const bob = `--as=system:serviceaccount:${s.namespace}:bob`;
    assert.match(await s.k(`auth can-i --list ${bob}`), /^configmaps +\[\] +\[\] +\[get list\]$/m);

    const config = s.file('kubeconfig');
    writeFileSync(config, await kubeconfigWith(s, await token(s, 'bob')), { mode: 0o600 });
    const env = { KUBECONFIG: config };
    const user = `User "system:serviceaccount:${s.namespace}:bob" cannot`;
    const refused = async (line: string): Promise<string> =>
      s.within(env, line).then(
        (output) => assert.fail(`${line} was allowed: ${output}`),
        (error: Error) => error.message,
      );
    assert.match(await s.within(env, 'get configmaps -o name'), /configmap\/c\n/);
    assert.ok(
      (await refused('get secrets')).includes(
        `secrets is forbidden: ${user} list resource "secrets" in API group "" in the namespace "${s.namespace}"`,
      ),
    );
    assert.ok((await refused('delete configmap c')).includes(`${user} delete resource "configmaps"`));
    assert.ok((await refused('get configmaps -n default')).includes('in the namespace "default"'));
    assert.ok((await refused('get nodes')).includes('at the cluster scope'));
    assert.match(await refused('auth can-i list secrets'), /no/);

    await s.k('delete rolebinding reader');
    assert.match(await refused('get configmaps'), /configmaps is forbidden/);
    await s.k('delete serviceaccount bob');
    assert.match(await refused('get configmaps'), /Unauthorized|must be logged in/);
  },
};
