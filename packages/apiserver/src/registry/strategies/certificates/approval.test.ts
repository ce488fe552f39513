import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { certificates } from '@cloudless/kube/resources';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { refused } from '../../../testing/hooked-server.ts';
import { startTestServer, type TestServer } from '../../../testing/test-server.ts';

const { certificatesigningrequests: requests } = certificates;
const pem = (kind: string, content = 'MAA='): string =>
  Buffer.from(`-----BEGIN ${kind}-----\n${content}\n-----END ${kind}-----\n`).toString('base64');

let test: TestServer;
let admin: KubeClient;
before(async () => {
  test = await startTestServer();
  admin = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
});
after(() => test[Symbol.asyncDispose]());

let count = 0;
const create = (): Promise<CertificateSigningRequest> =>
  admin.create(requests, {
    metadata: { name: `r-${count++}` },
    spec: { request: pem('CERTIFICATE REQUEST'), signerName: 'example.com/x', usages: ['client auth'] },
  });
type Status = NonNullable<CertificateSigningRequest['status']>;
const write = (of: CertificateSigningRequest, subresource: string, status: Status) =>
  admin.update(requests, { ...of, status }, { subresource });
const approved = { type: 'Approved', status: 'True', reason: 'Test' };

describe('a certificate signing request', () => {
  it('is decided by /approval, with times, and for good', async () => {
    const decided = await write(await create(), 'approval', { conditions: [approved] });
    const [condition] = decided.status?.conditions ?? [];
    assert.ok(condition?.lastUpdateTime && condition.lastTransitionTime);
    await assert.rejects(
      write(decided, 'approval', { conditions: [] }),
      refused(422, /status.conditions: Forbidden: updates may not remove a condition of type "Approved"$/),
    );
    await assert.rejects(
      write(decided, 'approval', { conditions: [approved, { ...approved, type: 'Denied' }] }),
      refused(
        422,
        /status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive$/,
      ),
    );
  });

  it('is issued by /status, which does not decide, and issued once', async () => {
    const made = await create();
    await assert.rejects(
      write(made, 'status', { conditions: [approved] }),
      refused(422, /status.conditions: Forbidden: updates may not add a condition of type "Approved"$/),
    );
    await assert.rejects(
      write(made, 'status', { certificate: pem('RSA') }),
      refused(
        422,
        /status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block$/,
      ),
    );
    const decided = await write(made, 'approval', { conditions: [approved] });
    const issued = await write(decided, 'status', { ...decided.status, certificate: pem('CERTIFICATE') });
    assert.equal(issued.status?.certificate, pem('CERTIFICATE'));
    await assert.rejects(
      write(issued, 'status', { ...issued.status, certificate: pem('CERTIFICATE', 'MAE=') }),
      refused(422, /status.certificate: Forbidden: updates may not modify existing certificate content$/),
    );
  });

  it('is not issued by /approval', async () => {
    const made = await create();
    const decided = await write(made, 'approval', {
      conditions: [approved],
      certificate: pem('CERTIFICATE'),
    });
    assert.equal(decided.status?.certificate, undefined);
  });
});
