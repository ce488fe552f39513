import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { type NodeContext, nodeContext } from '@cloudless/kube/node/context';
import {
  bootstrapControlPlane,
  BootstrapError,
  type BootstrapReport,
  createClientKubeconfig,
} from './index.ts';
import { readKubeconfigParts } from './kubeconfig.ts';
import { createAuthority, issueLeaf } from './pki/authority.ts';
import { namesOf } from './pki/check.ts';
import { writePair } from './pki/files.ts';
import { dayMs } from './pki/validity.ts';

const yearMs = 365 * dayMs;
const pkiFiles = [
  'apiserver-etcd-client',
  'apiserver-kubelet-client',
  'apiserver',
  'ca',
  'etcd/ca',
  'etcd/healthcheck-client',
  'etcd/peer',
  'etcd/server',
  'front-proxy-ca',
  'front-proxy-client',
];
const kubeconfigs = ['admin', 'controller-manager', 'kubelet', 'scheduler', 'super-admin'];

describe('a control plane’s certificates', () => {
  let nowMs = Date.now();
  let context: NodeContext;
  let pki = '';
  const bootstrap = (
    more: Partial<Parameters<typeof bootstrapControlPlane>[0]> = {},
  ): Promise<BootstrapReport> =>
    bootstrapControlPlane({ context, nodeIps: ['192.0.2.10'], serviceIps: ['10.96.0.1'], ...more });
  const cert = (name: string): X509Certificate => new X509Certificate(readFileSync(join(pki, `${name}.crt`)));
  /** Every file below the root, with what decides whether it was touched. */
  const files = (): string[] =>
    globSync('**/*', { cwd: context.root })
      .filter((name) => statSync(join(context.root, name)).isFile())
      .map(
        (name) =>
          `${name} ${statSync(join(context.root, name)).ino} ${readFileSync(join(context.root, name), 'base64')}`,
      )
      .sort();
  const refuses = async (pattern: RegExp): Promise<void> => {
    const before = files();
    await assert.rejects(bootstrap(), (error) => {
      assert.ok(error instanceof BootstrapError, String(error));
      assert.match(error.message, pattern);
      assert.doesNotMatch(error.message, /PRIVATE KEY|[A-Za-z0-9+/]{60}/, 'no key in a message');
      return true;
    });
    assert.deepEqual(files(), before, 'nothing may be half-applied');
  };
  beforeEach(() => {
    nowMs = Date.now();
    context = nodeContext({
      root: mkdtempSync(join(tmpdir(), 'cloudless-pki-')),
      nodeName: 'node-1',
      clock: { ...systemClock, nowMs: () => nowMs },
    });
    pki = context.paths.pki;
  });
  afterEach(() => rmSync(context.root, { recursive: true }));

  it('are in kubeadm’s places, and openssl verifies every leaf for its use', async () => {
    const { created, renewed, warnings } = await bootstrap();
    assert.equal(created.length, pkiFiles.length + kubeconfigs.length + 1);
    assert.deepEqual([renewed, warnings], [[], []]);
    assert.deepEqual(globSync('**/*.crt', { cwd: pki }).sort(), pkiFiles.map((name) => `${name}.crt`).sort());
    const verify = (ca: string, leaf: string, purpose: string): string =>
      execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-purpose',
          purpose,
          '-CAfile',
          join(pki, `${ca}.crt`),
          join(pki, `${leaf}.crt`),
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      );
    for (const [ca, leaf, ...purposes] of [
      ['ca', 'apiserver', 'sslserver'],
      ['ca', 'apiserver-kubelet-client', 'sslclient'],
      ['front-proxy-ca', 'front-proxy-client', 'sslclient'],
      ['etcd/ca', 'etcd/server', 'sslserver', 'sslclient'],
      ['etcd/ca', 'etcd/peer', 'sslserver', 'sslclient'],
      ['etcd/ca', 'etcd/healthcheck-client', 'sslclient'],
      ['etcd/ca', 'apiserver-etcd-client', 'sslclient'],
    ] as Array<[string, string, ...string[]]>)
      for (const purpose of purposes) assert.match(verify(ca, leaf, purpose), /: OK/);
    assert.throws(() => verify('ca', 'apiserver', 'sslclient'), 'a server’s certificate is no client’s');
  });

  it('keys and kubeconfigs are for their owner alone', async () => {
    await bootstrap();
    const secret = globSync('**/*.{key,conf}', { cwd: context.paths.kubernetes });
    assert.equal(secret.length, pkiFiles.length + 1 + kubeconfigs.length);
    for (const name of secret)
      assert.equal(statSync(join(context.paths.kubernetes, name)).mode & 0o777, 0o600, name);
    assert.deepEqual(globSync('**/*.tmp', { cwd: context.root }), []);
  });

  it('kubeconfigs hold the identities of kubeadm', async () => {
    await bootstrap();
    for (const [file, subject] of [
      ['admin', 'O=kubeadm:cluster-admins\nCN=kubernetes-admin'],
      ['super-admin', 'O=system:masters\nCN=kubernetes-super-admin'],
      ['kubelet', 'O=system:nodes\nCN=system:node:node-1'],
      ['scheduler', 'CN=system:kube-scheduler'],
      ['controller-manager', 'CN=system:kube-controller-manager'],
    ] as const) {
      const path = join(context.paths.kubernetes, `${file}.conf`);
      const parts = readKubeconfigParts(readFileSync(path, 'utf8'), path);
      assert.equal(new X509Certificate(parts.cert).subject, subject);
      assert.equal(parts.server, 'https://192.0.2.10:6443');
    }
  });

  it('a second run changes nothing', async () => {
    await bootstrap();
    const before = files();
    assert.deepEqual(await bootstrap(), { created: [], renewed: [], warnings: [] });
    assert.deepEqual(files(), before);
  });

  it('leaves are issued anew when a third of their year is left, CAs and sa.key stay', async () => {
    await bootstrap();
    const kept = ['ca.crt', 'ca.key', 'sa.key', 'sa.pub'].map((name) =>
      readFileSync(join(pki, name), 'utf8'),
    );
    nowMs += yearMs * 0.6;
    assert.deepEqual((await bootstrap()).renewed, []);
    nowMs += yearMs * 0.1;
    assert.equal((await bootstrap()).renewed.length, 7 + kubeconfigs.length);
    assert.deepEqual(
      ['ca.crt', 'ca.key', 'sa.key', 'sa.pub'].map((name) => readFileSync(join(pki, name), 'utf8')),
      kept,
    );
    assert.deepEqual((await bootstrap()).renewed, []);
  });

  it('in the fifth year of the CA a fresh leaf is still fresh', async () => {
    await bootstrap();
    nowMs += 5 * yearMs;
    assert.equal((await bootstrap()).renewed.length, 7 + kubeconfigs.length);
    assert.deepEqual(await bootstrap(), { created: [], renewed: [], warnings: [] });
  });

  it('near the CA’s end it warns, and does not issue the same again and again', async () => {
    await bootstrap();
    nowMs += 10 * yearMs - 100 * dayMs;
    const first = await bootstrap();
    assert.equal(first.renewed.length, 7 + kubeconfigs.length);
    assert.equal(cert('apiserver').validTo, cert('ca').validTo);
    const again = await bootstrap();
    assert.deepEqual(again.renewed, []);
    assert.equal(again.warnings.length, 3);
    assert.match(again.warnings[0] ?? '', /ca\.crt ends on .*, in (99|100) days/);
  });

  it('another address has the certificate issued anew, and names added by hand stay, each once', async () => {
    await bootstrap({ extraSans: ['by-hand.example.org', 'FD00::1'] });
    const before = cert('apiserver').fingerprint256;
    const report = await bootstrap({ nodeIps: ['192.0.2.77'] });
    assert.notEqual(cert('apiserver').fingerprint256, before);
    assert.ok(report.renewed.includes(join(pki, 'apiserver.crt')));
    const names = namesOf(cert('apiserver'));
    for (const name of [
      '192.0.2.77',
      '192.0.2.10',
      '10.96.0.1',
      '::1',
      'fd00::1',
      'by-hand.example.org',
      'localhost',
    ])
      assert.equal(names.filter((other) => other === name).length, 1, name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(
      report.renewed.filter((path) => path.endsWith('.conf')).length,
      kubeconfigs.length,
      'kubeconfigs name the new address',
    );
    assert.deepEqual((await bootstrap({ nodeIps: ['192.0.2.77'] })).renewed, []);
  });

  it('a key that others can read is closed, and said', async () => {
    await bootstrap();
    for (const name of ['ca.key', 'sa.key', '../admin.conf']) chmodSync(join(pki, name), 0o644);
    const { warnings } = await bootstrap();
    assert.equal(warnings.length, 3);
    assert.match(
      warnings[0] ?? '',
      /ca\.key holds a key and could be read by others \(mode 0644\): it is 0600 now/,
    );
    assert.equal(statSync(join(pki, 'ca.key')).mode & 0o777, 0o600);
  });

  it('a kill between the two renames of a pair is finished by the next start', async () => {
    await bootstrap();
    const before = files();
    for (const name of ['ca', 'apiserver']) {
      const path = join(pki, `${name}.crt`);
      renameSync(path, `${path}.tmp`);
    }
    assert.deepEqual((await bootstrap()).renewed, []);
    assert.deepEqual(files(), before);
    // A renewal that was interrupted: the new key is in its place, the old certificate still beside it.
    const old = readFileSync(join(pki, 'apiserver.crt'));
    nowMs += yearMs * 0.8;
    await bootstrap();
    const fresh = cert('apiserver').fingerprint256;
    renameSync(join(pki, 'apiserver.crt'), join(pki, 'apiserver.crt.tmp'));
    writeFileSync(join(pki, 'apiserver.crt'), old);
    await bootstrap();
    assert.equal(cert('apiserver').fingerprint256, fresh);
  });

  for (const [sentence, damage, pattern] of [
    [
      'a missing CA key',
      () => rmSync(join(pki, 'ca.key')),
      /ca\.key is missing beside .*ca\.crt: restore it/,
    ],
    [
      'a missing CA certificate',
      () => rmSync(join(pki, 'ca.crt')),
      /ca\.crt is missing beside .*ca\.key: restore it/,
    ],
    [
      'a missing CA with leaves of it',
      () => ['ca.key', 'ca.crt'].map((name) => rmSync(join(pki, name))),
      /ca\.crt and its key are missing, but .*apiserver\.crt is there: restore the CA from a backup/,
    ],
    ['a missing leaf key', () => rmSync(join(pki, 'apiserver.key')), /apiserver\.key is missing beside/],
    [
      'a corrupt certificate',
      () => writeFileSync(join(pki, 'apiserver.crt'), 'x'),
      /apiserver\.crt holds no certificate in PEM form: restore/,
    ],
    ['a corrupt CA', () => writeFileSync(join(pki, 'etcd/ca.crt'), ''), /etcd\/ca\.crt holds no certificate/],
    [
      'a corrupt key',
      () => writeFileSync(join(pki, 'ca.key'), 'x'),
      /ca\.key holds no usable private key: restore/,
    ],
    [
      'a key of another certificate',
      () => copyFileSync(join(pki, 'front-proxy-client.key'), join(pki, 'apiserver.key')),
      /apiserver\.key is not the key of .*apiserver\.crt: restore the pair/,
    ],
    [
      'a leaf in the CA’s place',
      () => ['crt', 'key'].map((end) => copyFileSync(join(pki, `apiserver.${end}`), join(pki, `ca.${end}`))),
      /ca\.crt is no CA certificate/,
    ],
    [
      'a corrupt sa.key',
      () => writeFileSync(join(pki, 'sa.key'), 'x'),
      /sa\.key holds no usable key: restore/,
    ],
    [
      'a corrupt sa.pub',
      () => writeFileSync(join(pki, 'sa.pub'), 'x'),
      /sa\.pub holds no usable key: restore/,
    ],
    [
      'a missing sa.key',
      () => rmSync(join(pki, 'sa.key')),
      /sa\.key is missing beside .*sa\.pub: restore it/,
    ],
    [
      'a corrupt kubeconfig',
      () => writeFileSync(join(pki, '../admin.conf'), 'clusters: ['),
      /admin\.conf is no kubeconfig with a client certificate inside: remove it/,
    ],
    [
      'a kubeconfig with another’s key',
      () => {
        const [admin, kubelet] = ['admin', 'kubelet'].map((name) => join(pki, `../${name}.conf`)) as [
          string,
          string,
        ];
        const key = (path: string): string =>
          /client-key-data: (\S+)/.exec(readFileSync(path, 'utf8'))?.[1] as string;
        writeFileSync(admin, readFileSync(admin, 'utf8').replace(key(admin), key(kubelet)), { mode: 0o600 });
      },
      /admin\.conf has a key that is not its certificate's: remove it/,
    ],
    [
      'a clock before the CA',
      () => (nowMs -= 30 * dayMs),
      /ca\.crt is valid from .* on: is this machine's clock right\?/,
    ],
    ['an expired CA', () => (nowMs += 11 * yearMs), /ca\.crt expired on .*: a CA is never renewed by itself/],
  ] as Array<[string, () => unknown, RegExp]>)
    it(`refuses ${sentence}, names it and the remedy, and touches nothing`, async () => {
      await bootstrap();
      damage();
      await refuses(pattern);
    });

  it('refuses a leaf of a foreign CA, and works once that is removed', async () => {
    await bootstrap();
    const foreign = await createAuthority('kubernetes', 'ECDSA-P256', nowMs);
    const leaf = await issueLeaf(
      foreign,
      { commonName: 'kube-apiserver', usages: ['server'] },
      'ECDSA-P256',
      nowMs,
    );
    writePair(pki, 'apiserver', leaf);
    await refuses(
      /apiserver\.crt was not issued by the CA beside it .*: remove .*apiserver\.crt and its key/,
    );
    for (const end of ['crt', 'key']) rmSync(join(pki, `apiserver.${end}`));
    assert.deepEqual((await bootstrap()).created, [join(pki, 'apiserver.crt')]);
  });

  it('RSA keys, as kubeadm’s configuration asks for by default', async () => {
    await bootstrap({ algorithm: 'RSA-2048' });
    assert.match(readFileSync(join(pki, 'ca.key'), 'utf8'), /BEGIN RSA PRIVATE KEY/);
    assert.equal(cert('apiserver').publicKey.asymmetricKeyDetails?.modulusLength, 2048);
    assert.deepEqual((await bootstrap()).renewed, [], 'what is there is kept, whatever is asked for now');
  });

  it('a kubeconfig for a node that joins; not without the CA', async () => {
    await bootstrap();
    const options = {
      context,
      clientName: 'system:node:node-2',
      organizations: ['system:nodes'],
      server: 'https://192.0.2.10:6443',
    };
    const parts = readKubeconfigParts(await createClientKubeconfig(options), 'it');
    assert.equal(new X509Certificate(parts.cert).subject, 'O=system:nodes\nCN=system:node:node-2');
    assert.ok(existsSync(join(pki, 'ca.key')));
    for (const end of ['crt', 'key']) rmSync(join(pki, `ca.${end}`));
    await assert.rejects(
      createClientKubeconfig(options),
      /ca\.key is missing: kubeconfigs are made where the cluster's CA is/,
    );
  });
});
