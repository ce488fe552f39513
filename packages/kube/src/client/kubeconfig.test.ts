import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { KubeconfigError, loadKubeconfig } from './kubeconfig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const config = `apiVersion: v1
kind: Config
current-context: admin@home
clusters:
- name: home
  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: ${base64('CA')}}
- name: files
  cluster: {server: 'https://10.0.0.2:6443', certificate-authority: pki/ca.crt, tls-server-name: kubernetes}
contexts:
- name: admin@home
  context: {cluster: home, user: admin, namespace: work}
- name: node@files
  context: {cluster: files, user: node}
- name: robot@home
  context: {cluster: home, user: robot}
- name: exec@home
  context: {cluster: home, user: exec}
- name: lost
  context: {cluster: nowhere, user: admin}
users:
- name: admin
  user: {client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}}
- name: node
  user: {client-certificate: current.pem, client-key: current.pem}
- name: robot
  user: {tokenFile: /run/token, token: stale}
- name: exec
  user: {exec: {command: aws}}
`;

describe('kubeconfig', () => {
  it('reads inline data of the current context', () => {
    const loaded = loadKubeconfig(config);
    assert.equal(loaded.server, 'https://10.0.0.1:6443');
    assert.equal(loaded.ca, 'CA');
    assert.equal(loaded.clientCert, 'CERT');
    assert.equal(loaded.clientKey, 'KEY');
    assert.equal(loaded.namespace, 'work');
  });

  it('takes file references from beside the file, and a token file before a token', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
    after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'config');
    writeFileSync(path, config);
    assert.throws(
      () => loadKubeconfig(path, { context: 'node@files' }),
      new RegExp(`cannot read certificate-authority ${folder}/pki/ca.crt`),
    );
    writeFileSync(path, config.replace('pki/ca.crt', 'ca.crt'));
    writeFileSync(join(folder, 'ca.crt'), 'CA2');
    const loaded = loadKubeconfig(path, { context: 'node@files' });
    assert.equal(loaded.ca, 'CA2');
    assert.equal(loaded.clientCertFile, join(folder, 'current.pem'));
    assert.equal(loaded.clientKeyFile, join(folder, 'current.pem'));
    assert.equal(loaded.tlsServerName, 'kubernetes');
    const robot = loadKubeconfig(path, { context: 'robot@home' });
    assert.equal(robot.tokenFile, '/run/token');
    assert.equal(robot.token, undefined);
  });

  const refused: Array<[string, string, RegExp]> = [
    ['exec credentials', 'exec@home', /user "exec" asks to run a program for its credentials \(exec\)/],
    ['a context that is not there', 'none', /context "none" is not in contexts \(there: "admin@home", /],
    ['a cluster that is not there', 'lost', /cluster "nowhere" is not in clusters/],
  ];
  for (const [what, context, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => loadKubeconfig(config, { context }),
        (error: unknown) => error instanceof KubeconfigError && message.test(error.message),
      );
    });
  }

  it('says where broken YAML breaks, without quoting it', () => {
    assert.throws(
      () => loadKubeconfig('users:\n- token: "secret\n'),
      (error: unknown) =>
        error instanceof KubeconfigError &&
        /line \d/.test(error.message) &&
        !error.message.includes('secret'),
    );
    assert.throws(() => loadKubeconfig('/nowhere/config'), /cannot read the kubeconfig \/nowhere\/config/);
  });
});
