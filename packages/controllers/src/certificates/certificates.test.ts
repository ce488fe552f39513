import 'reflect-metadata';
import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { before, describe, it } from 'node:test';
import * as x509 from '@peculiar/x509';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { certificates, core } from '@cloudless/kube/resources';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestSpec,
} from '@cloudless/kube/types/certificates-v1';
import type { Node } from '@cloudless/kube/types/core-v1';
import type { SubjectAccessReview } from '@cloudless/kube/types/authorization-v1';
import type { StartController } from '../runtime/context.ts';
import { Bench } from '../testing/bench.ts';
import { startCertificateApprover } from './approver.ts';
import { CertificateAuthority } from './authority.ts';
import { startCertificateCleaner } from './cleaner.ts';
import { signers } from './policy.ts';
import { crypto } from './request.ts';
import { startCertificateSigner } from './signer.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
let ca: { cert: string; key: string };

before(async () => {
  ca = await selfSigned('kubernetes');
});

interface Asked {
  name?: string;
  cn?: string;
  organization?: string;
  sans?: Array<{ type: 'dns' | 'ip' | 'email'; value: string }>;
  spec?: Partial<CertificateSigningRequestSpec>;
}

async function request(asked: Asked = {}): Promise<CertificateSigningRequest> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cn = asked.cn ?? 'system:node:a';
  const made = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: [{ O: [asked.organization ?? 'system:nodes'] }, { CN: [cn] }],
      keys,
      signingAlgorithm: algorithm,
      extensions: asked.sans ? [new x509.SubjectAlternativeNameExtension(asked.sans)] : [],
    },
    crypto,
  );
  return {
    metadata: { name: asked.name ?? 'csr' },
    spec: {
      request: Buffer.from(made.toString('pem')).toString('base64'),
      signerName: signers.kubeletServing,
      usages: ['digital signature', 'server auth'],
      username: 'system:node:a',
      groups: ['system:nodes', 'system:authenticated'],
      ...asked.spec,
    },
  };
}

const serving = (
  sans: Asked['sans'] = [
    { type: 'dns', value: 'a' },
    { type: 'ip', value: '10.0.0.5' },
  ],
  more: Asked = {},
): Promise<CertificateSigningRequest> => request({ ...more, sans });

const all: StartController[] = [
  startCertificateApprover,
  (context) => startCertificateSigner(context, { certificate: ca.cert, key: ca.key }),
];
const csr = (bench: Bench, name = 'csr'): CertificateSigningRequest | undefined =>
  bench.cluster.object(certificates.certificatesigningrequests, name);
const conditions = (bench: Bench, name = 'csr'): string[] =>
  (csr(bench, name)?.status?.conditions ?? []).map((one) => `${one.type} ${one.reason}`);
const node = (name: string, ...ips: string[]): Node => ({
  metadata: { name },
  status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
});

async function started(...controllers: StartController[]): Promise<Bench> {
  const bench = new Bench();
  bench.cluster.seed(core.nodes, node('a', '10.0.0.5'), node('b', '10.0.0.6'));
  bench.cluster.seed(core.services, {
    metadata: { name: 'kubernetes', namespace: 'default' },
    spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'] },
  });
  await bench.start(...(controllers.length > 0 ? controllers : all));
  return bench;
}

describe('certificates of kubelets', () => {
  it('approves and issues a serving certificate for the node that asks', async () => {
    await using bench = await started();
    bench.cluster.seed(certificates.certificatesigningrequests, await serving());
    await bench.until(() => csr(bench)?.status?.certificate !== undefined, 'the certificate');
    assert.deepEqual(conditions(bench), ['Approved AutoApproved']);
    const pem = Buffer.from(csr(bench)?.status?.certificate ?? '', 'base64').toString();
    const issued = new X509Certificate(pem);
    assert.ok(issued.checkIssued(new X509Certificate(ca.cert)));
    assert.ok(issued.verify(new X509Certificate(ca.cert).publicKey));
    assert.equal(issued.subject, 'O=system:nodes\nCN=system:node:a');
    assert.equal(issued.subjectAltName, 'DNS:a, IP Address:10.0.0.5');
    assert.deepEqual(issued.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    assert.equal(issued.ca, false);
    assert.ok(new Date(issued.validFrom).getTime() < bench.clock.nowMs());
    const year = 365 * 24 * 3600_000;
    const caEnds = new Date(new X509Certificate(ca.cert).validTo).getTime();
    assert.ok(new Date(issued.validTo).getTime() <= Math.min(bench.clock.nowMs() + year, caEnds));
  });

  it('waits until the node has told the addresses it asks for', async () => {
    await using bench = await started();
    const sans = [{ type: 'ip' as const, value: '10.0.0.9' }];
    bench.cluster.seed(
      certificates.certificatesigningrequests,
      await serving(sans, { cn: 'system:node:new', spec: { username: 'system:node:new' } }),
    );
    await bench.settle();
    assert.deepEqual(conditions(bench), []);
    bench.cluster.seed(core.nodes, node('new'));
    await bench.settle();
    assert.deepEqual(conditions(bench), []);
    bench.cluster.change(core.nodes, 'new', undefined, (copy) => {
      copy.status = { addresses: [{ type: 'InternalIP', address: '10.0.0.9' }] };
    });
    await bench.until(() => csr(bench)?.status?.certificate !== undefined, 'the certificate');
  });

  const refused: Array<[string, Asked]> = [
    ['another node', { spec: { username: 'system:node:b' } }],
    ['somebody who is no node', { spec: { groups: ['system:authenticated'] } }],
    ["the API server's name", { sans: [{ type: 'dns', value: 'kubernetes.default.svc' }] }],
    ["another node's address", { sans: [{ type: 'ip', value: '10.0.0.6' }] }],
    ["a Service's address", { sans: [{ type: 'ip', value: '10.96.0.1' }] }],
    [
      'an e-mail address',
      {
        sans: [
          { type: 'ip', value: '10.0.0.5' },
          { type: 'email', value: 'a@b.c' },
        ],
      },
    ],
    ['another organization', { organization: 'system:masters', sans: [{ type: 'ip', value: '10.0.0.5' }] }],
    ['use as a client', { spec: { usages: ['client auth', 'digital signature'] } }],
    ['no address at all', { sans: [] }],
  ];
  for (const [what, asked] of refused) {
    it(`does not approve a serving certificate for ${what}`, async () => {
      await using bench = await started();
      bench.cluster.seed(
        certificates.certificatesigningrequests,
        await serving(asked.sans ?? [{ type: 'ip', value: '10.0.0.5' }], asked),
      );
      await bench.settle();
      assert.deepEqual(conditions(bench), []);
      assert.equal(csr(bench)?.status?.certificate, undefined);
    });
  }

  it('approves a client certificate only for those who may have one', async () => {
    await using bench = await started();
    const reviewed: string[] = [];
    const create = bench.cluster.create.bind(bench.cluster);
    bench.cluster.create = <T extends KubeObject>(
      resource: Resource<T>,
      object: T,
      namespace: string | undefined,
    ): T => {
      if (resource.kind !== 'SubjectAccessReview') return create(resource, object, namespace);
      const { user, resourceAttributes } = (object as unknown as SubjectAccessReview).spec;
      const { verb, resource: plural, subresource } = resourceAttributes ?? {};
      reviewed.push(`${user} ${verb} ${plural}/${subresource}`);
      return { ...object, status: { allowed: user === 'system:node:a' && subresource === 'selfnodeclient' } };
    };
    const spec = {
      signerName: signers.kubeletClient,
      usages: ['digital signature', 'key encipherment', 'client auth'],
    };
    bench.cluster.seed(
      certificates.certificatesigningrequests,
      await request({ name: 'self', spec }),
      await request({ name: 'other', spec: { ...spec, username: 'somebody' } }),
    );
    await bench.until(() => csr(bench, 'self')?.status?.certificate !== undefined, 'the certificate');
    await bench.settle();
    assert.deepEqual(conditions(bench, 'other'), []);
    assert.ok(reviewed.includes('somebody create certificatesigningrequests/nodeclient'));
    assert.ok(!reviewed.includes('somebody create certificatesigningrequests/selfnodeclient'));
  });
});

describe('certificate signer', () => {
  const approved = { conditions: [{ type: 'Approved', status: 'True', reason: 'x' }] };

  it('signs nothing that is not approved, and nothing of signers it does not know', async () => {
    await using bench = await started(all[1] as StartController);
    bench.cluster.seed(
      certificates.certificatesigningrequests,
      await serving(undefined, { name: 'pending' }),
      {
        ...(await serving(undefined, { name: 'foreign', spec: { signerName: 'example.com/own' } })),
        status: approved,
      },
      {
        ...(await serving(undefined, { name: 'denied' })),
        status: { conditions: [...approved.conditions, { type: 'Denied', status: 'True' }] },
      },
    );
    await bench.settle();
    for (const name of ['pending', 'foreign', 'denied'])
      assert.equal(csr(bench, name)?.status?.certificate, undefined);
  });

  it('says why an approved request cannot be signed', async () => {
    await using bench = await started(all[1] as StartController);
    bench.cluster.seed(
      certificates.certificatesigningrequests,
      {
        ...(await serving(undefined, { name: 'usage', spec: { usages: ['client auth'] } })),
        status: approved,
      },
      {
        ...(await serving(undefined, { name: 'garbage', spec: { request: 'bm9uc2Vuc2U=' } })),
        status: approved,
      },
    );
    await bench.until(
      () => conditions(bench, 'usage').length === 2 && conditions(bench, 'garbage').length === 2,
      'both',
    );
    assert.deepEqual(conditions(bench, 'usage'), ['Approved x', 'Failed SignerValidationFailure']);
    assert.equal(csr(bench, 'garbage')?.status?.conditions?.[1]?.message, 'unable to parse csr "garbage"');
  });

  it('gives the time that is asked for, and signs with RSA too', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' });
    const signing = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    const keys = {
      privateKey: await crypto.subtle.importKey(
        'pkcs8',
        new Uint8Array(rsa.privateKey.export({ type: 'pkcs8', format: 'der' })),
        signing,
        true,
        ['sign'],
      ),
      publicKey: await crypto.subtle.importKey(
        'spki',
        new Uint8Array(rsa.publicKey.export({ type: 'spki', format: 'der' })),
        signing,
        true,
        ['verify'],
      ),
    };
    const own = await x509.X509CertificateGenerator.createSelfSigned(
      { name: 'CN=rsa', keys, signingAlgorithm: signing, notAfter: new Date('2036-01-01T00:00:00Z') },
      crypto,
    );
    await using bench = await started((context) =>
      startCertificateSigner(context, { certificate: own.toString('pem'), key: pkcs1 }),
    );
    bench.cluster.seed(certificates.certificatesigningrequests, {
      ...(await serving(undefined, { spec: { expirationSeconds: 86_400 } })),
      status: approved,
    });
    await bench.until(() => csr(bench)?.status?.certificate !== undefined, 'the certificate');
    const issued = new X509Certificate(Buffer.from(csr(bench)?.status?.certificate ?? '', 'base64'));
    assert.equal(new Date(issued.validTo).toISOString(), '2026-01-02T00:00:00.000Z');
    assert.ok(issued.verify(rsa.publicKey));
  });

  it('refuses a key that is not of its certificate', async () => {
    const other = await selfSigned('other');
    await assert.rejects(
      CertificateAuthority.load(ca.cert, other.key),
      /the CA key does not belong to the CA certificate/,
    );
  });
});

describe('certificate cleaner', () => {
  it('deletes answered requests after an hour, unanswered ones after a day', async () => {
    await using bench = await started(startCertificateCleaner);
    const condition = (type: string): object => ({
      conditions: [{ type, status: 'True', lastUpdateTime: '2026-01-01T00:00:00Z' }],
    });
    bench.cluster.seed(
      certificates.certificatesigningrequests,
      await serving(undefined, { name: 'pending' }),
      { ...(await serving(undefined, { name: 'denied' })), status: condition('Denied') },
      {
        ...(await serving(undefined, { name: 'issued' })),
        status: { ...condition('Approved'), certificate: 'eA==' },
      },
      { ...(await serving(undefined, { name: 'approved' })), status: condition('Approved') },
    );
    const names = (): Array<string | undefined> =>
      bench.cluster.objects(certificates.certificatesigningrequests).map((one) => one.metadata.name);
    await bench.settle();
    bench.clock.advance(3_590_000);
    await bench.settle();
    assert.equal(names().length, 4);
    await bench.pass(15);
    assert.deepEqual(names(), ['approved', 'pending']);
    bench.clock.advance(23 * 3_600_000);
    await bench.settle();
    assert.deepEqual(names(), []);
  });
});
