import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { certificates } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import * as x509 from '@peculiar/x509';
import { until } from '../testing/node.ts';
import { type CertificatePair, selfSignedCertificate, startServingCertificate } from './certificate.ts';

const folder = mkdtempSync(join(tmpdir(), 'cl-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const log = logger('test');

describe('the serving certificate', () => {
  it('a self-signed one names the node and its addresses, is kept, and is made anew for others', async () => {
    const options = { folder: join(folder, 'self'), nodeName: 'n1', addresses: ['10.0.0.7', 'fd00::7'] };
    const first = await selfSignedCertificate(options);
    const certificate = new X509Certificate(first.cert);
    assert.equal(certificate.checkHost('n1'), 'n1');
    assert.equal(certificate.checkIP('10.0.0.7'), '10.0.0.7');
    assert.ok(certificate.checkIP('fd00::7'));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(first.key)));
    assert.equal(statSync(join(options.folder, 'kubelet.key')).mode & 0o777, 0o600);
    assert.deepEqual(await selfSignedCertificate(options), first);
    assert.notDeepEqual(await selfSignedCertificate({ ...options, addresses: ['10.0.0.8'] }), first);
  });

  it('files that are no pair are refused by name', async () => {
    await assert.rejects(
      startServingCertificate({
        folder,
        nodeName: 'n',
        addresses: [],
        files: { certPath: '/no/cert', keyPath: '/no/key' },
        log,
      }),
      /\/no\/cert and \/no\/key are no certificate and its private key/,
    );
  });

  it('is asked of the cluster, taken over when issued, and found again after a restart', async () => {
    const cluster = new FakeCluster();
    const options = {
      folder: join(folder, 'csr'),
      nodeName: 'n1',
      addresses: ['10.0.0.7'],
      fromCluster: true,
      client: cluster.client,
      log,
    };
    const serving = await startServingCertificate(options);
    const before = serving.current();
    const changed = new Promise<CertificatePair>((resolve) => serving.onChange(resolve));
    const request = await until(
      'a request',
      async () => (await cluster.client.list(certificates.certificatesigningrequests)).items[0],
    );
    assert.equal(request.spec.signerName, 'kubernetes.io/kubelet-serving');
    assert.deepEqual(request.spec.usages, ['digital signature', 'server auth']);
    const asked = new x509.Pkcs10CertificateRequest(Buffer.from(request.spec.request, 'base64').toString());
    assert.equal(asked.subject, 'O=system:nodes, CN=system:node:n1');

    const authority = await selfSigned('authority');
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const pkcs8 = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' });
    const signed = await x509.X509CertificateGenerator.create(
      {
        subject: asked.subject,
        issuer: 'CN=authority',
        notBefore: new Date(Date.now() - 1000),
        notAfter: new Date(Date.now() + 3_600_000),
        publicKey: asked.publicKey,
        signingKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
        signingAlgorithm: algorithm,
        extensions: asked.extensions,
      },
      webcrypto,
    );
    await cluster.client.update(
      certificates.certificatesigningrequests,
      { ...request, status: { certificate: Buffer.from(signed.toString('pem')).toString('base64') } },
      { subresource: 'status' },
    );
    const pair = await changed;
    assert.deepEqual(serving.current(), pair);
    assert.notDeepEqual(pair, before);
    assert.equal(new X509Certificate(pair.cert).checkIP('10.0.0.7'), '10.0.0.7');
    await serving.stop();
    const again = await startServingCertificate(options);
    assert.deepEqual(again.current(), pair);
    await again.stop();
  });
});
