import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bootstrapControlPlane } from '@cloudless/bootstrap';
import { loadKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { nodeContext } from '@cloudless/kube/node/context';
import { certificates } from '@cloudless/kube/resources';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { requestCertificate } from '@cloudless/kubelet/server/certificate-request';
import { metallb } from '@cloudless/loadbalancer/config/kinds';
import { type Cluster, startCluster } from '../../testing/index.ts';
import { keepSpeakerCredentials } from './credentials.ts';
import { speakerSigner, speakersGroup, speakerUser } from './names.ts';
import { startSpeakerSigner } from './signer.ts';

const log = logger('signer').child({}, { level: 'silent' });

describe('certificates of speakers', () => {
  const root = mkdtempSync('/tmp/cl-');
  const context = nodeContext({ root, nodeName: 'n1' });
  let cluster: Cluster;
  let signer: Running;
  before(async () => {
    await bootstrapControlPlane({ context, nodeIps: ['192.0.2.10'], serviceIps: ['10.96.0.1'] });
    cluster = await startCluster({ nodes: 0, loadBalancer: true });
    signer = startSpeakerSigner({
      client: cluster.clientFor('system:serviceaccount:kube-system:speaker-signer'),
      caCertificate: readFileSync(join(context.paths.pki, 'ca.crt'), 'utf8'),
      caKey: readFileSync(join(context.paths.pki, 'ca.key'), 'utf8'),
      clock: systemClock,
      log,
    });
  });
  after(async () => {
    await signer.stop();
    await cluster.stop();
    rmSync(root, { recursive: true });
  });

  const request = (
    user: string,
    over: Partial<Parameters<typeof requestCertificate>[0]> = {},
  ): ReturnType<typeof requestCertificate> =>
    requestCertificate({
      client: cluster.clientFor(user),
      clock: systemClock,
      signal: AbortSignal.timeout(10_000),
      subject: [{ O: [speakersGroup] }, { CN: [speakerUser('n1')] }],
      signerName: speakerSigner,
      usages: ['digital signature', 'client auth'],
      ...over,
    });

  it('are given to the node that the speaker is on', async () => {
    const { cert } = await request('system:node:n1');
    const certificate = new X509Certificate(cert);
    assert.deepEqual(certificate.subject.split('\n'), [`O=${speakersGroup}`, 'CN=cloudless:speaker:n1']);
    assert.ok(
      certificate.verify(new X509Certificate(readFileSync(join(context.paths.pki, 'ca.crt'))).publicKey),
    );
  });

  for (const [what, user, over, why] of [
    [
      'another node’s',
      'system:node:n2',
      {},
      /system:node:n2 may have a certificate for cloudless:speaker:n2/,
    ],
    [
      'a group besides',
      'system:node:n1',
      { subject: [{ O: [speakersGroup, 'system:masters'] }, { CN: [speakerUser('n1')] }] },
      /organization is not/,
    ],
    ['other usages', 'system:node:n1', { usages: ['digital signature', 'server auth'] }, /usages are not/],
    [
      'alternative names',
      'system:node:n1',
      { alternativeNames: [{ type: 'dns', value: 'kubernetes' }] },
      /no alternative names/,
    ],
  ] as const)
    it(`are refused: ${what}`, async () => {
      const options = over as Partial<Parameters<typeof requestCertificate>[0]>;
      await assert.rejects(request(user, options), why);
    });

  it('are not its to give for another signer', async () => {
    const signerName = 'kubernetes.io/kube-apiserver-client';
    const ended = new AbortController();
    const { signal } = ended;
    request('system:node:n1', { signerName, signal }).catch(() => undefined);
    const client = cluster.clientFor('system:serviceaccount:kube-system:speaker-signer');
    const find = async (): Promise<CertificateSigningRequest | undefined> =>
      (await client.list(certificates.certificatesigningrequests)).items.find(
        ({ spec }) => spec.signerName === signerName,
      );
    let csr = await find();
    for (let tries = 0; !csr && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      csr = await find();
    }
    assert.ok(csr);
    const conditions = [{ type: 'Approved', status: 'True', reason: 'x', message: 'x' }];
    await assert.rejects(
      client.update(
        certificates.certificatesigningrequests,
        { ...csr, status: { conditions } },
        { subresource: 'approval' },
      ),
      /not permitted to approve/,
    );
    ended.abort();
  });

  it('come with the first IPAddressPool, where only their owner can read them', async () => {
    const needed = Promise.withResolvers<void>();
    const folder = context.paths.speaker;
    await using _ = keepSpeakerCredentials({
      client: cluster.clientFor('system:node:n1'),
      server: { server: 'https://192.0.2.10:6443', ca: 'the CA' },
      nodeName: 'n1',
      folder,
      clock: systemClock,
      log,
      atOnce: false,
      onNeeded: () => needed.resolve(),
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.throws(() => statSync(join(folder, 'kubeconfig')), /ENOENT/);
    await cluster.client.create(metallb.ipAddressPools, {
      apiVersion: 'metallb.io/v1beta1',
      kind: 'IPAddressPool',
      metadata: { name: 'pool', namespace: 'default' },
      spec: { addresses: ['192.0.2.9/32'] },
    });
    await needed.promise;
    for (const name of ['kubeconfig', 'client.pem'])
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
    const config = loadKubeconfig(join(folder, 'kubeconfig'));
    assert.equal(config.server, 'https://192.0.2.10:6443');
    assert.equal(config.ca, 'the CA');
    const certificate = new X509Certificate(readFileSync(config.clientCertFile ?? '', 'utf8'));
    const lifeHours = (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 3_600_000;
    assert.ok(lifeHours > 23 && lifeHours < 25, `${lifeHours} h`);
  });
});
