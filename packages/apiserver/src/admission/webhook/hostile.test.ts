import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { type Answer, allow, startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts';
import { type HookedServer, refused, startHookedServer } from '../../testing/hooked-server.ts';

let hooked: HookedServer;
let hook: WebhookServer;
let clientConfig: WebhookServer['clientConfig'];
before(async () => {
  hooked = await startHookedServer();
  hook = await startWebhookServer(hooked.test.pki);
  ({ clientConfig } = hook);
});
after(async () => {
  await hook[Symbol.asyncDispose]();
  await hooked[Symbol.asyncDispose]();
});
afterEach(async () => {
  await hooked.clear();
  hook.answer(allow);
});

let count = 0;
const create = () =>
  hooked.admin.create(core.configmaps, {
    metadata: { name: `map-${count++}`, namespace: 'space' },
    data: {},
  });
const failed = (why: string): string =>
  `Internal error occurred: failed calling webhook "hook.example.com": ${why}`;
const raw =
  (code: number, body: string): Answer =>
  (_review, response) => {
    response.writeHead(code, { 'content-type': 'text/plain' });
    response.end(body);
  };

describe('a webhook that gives no usable answer', () => {
  const answers: Array<[string, Answer, string | RegExp]> = [
    [
      'an error',
      raw(500, 'boom'),
      failed(
        'failed to call webhook: an error on the server ("boom") has prevented the request from succeeding',
      ),
    ],
    [
      '404',
      raw(404, 'x'),
      failed('failed to call webhook: the server could not find the requested resource'),
    ],
    [
      'a redirect',
      raw(302, ''),
      failed(
        'failed to call webhook: the server responded with the status code 302 but did not return more information',
      ),
    ],
    ['no JSON', raw(200, 'hello'), /failed to call webhook: couldn't get version\/kind; json parse error: /],
    ['another object', raw(200, '{}'), failed("failed to call webhook: Object 'Kind' is missing in '{}'")],
    [
      'no response',
      raw(200, '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}'),
      failed('received invalid webhook response: webhook response was absent'),
    ],
    [
      'another uid',
      { uid: 'me', allowed: true },
      /received invalid webhook response: expected response.uid="[-0-9a-f]{36}", got "me"$/,
    ],
    [
      'a type without a patch',
      { allowed: true, patchType: 'JSONPatch' },
      failed('received invalid webhook response: webhook returned response.patchType but not response.patch'),
    ],
    [
      'a patch without a type',
      { allowed: true, patch: 'W10=' },
      failed('received invalid webhook response: webhook returned response.patch but not response.patchType'),
    ],
    [
      'an unknown type of patch',
      { allowed: true, patch: 'W3t9XQ==', patchType: 'Magic' },
      failed('unsupported patch type "Magic"'),
    ],
    [
      'a patch that is no patch',
      { allowed: true, patch: 'aGVsbG8=', patchType: 'JSONPatch' },
      /received undecodable patch in webhook response: /,
    ],
    [
      'a huge body',
      (_review, response) => {
        const chunk = Buffer.alloc(1024 * 1024, 'x');
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more);
        more();
      },
      failed('failed to call webhook: the answer is longer than 16777216 bytes'),
    ],
    [
      'nothing',
      (_review, response) => void response.destroy(),
      /failed to call webhook: Post "https:\/\/127\.0\.0\.1:\d+\/review\?timeout=10s": EOF$/,
    ],
  ];
  for (const [what, answer, text] of answers)
    it(`but ${what} fails the request`, async () => {
      await hooked.mutating('m', { clientConfig });
      hook.answer(() => answer);
      await assert.rejects(create(), refused(500, text));
    });

  it('but a patch that does not fit is told by its operation', async () => {
    await hooked.mutating('m', { clientConfig });
    const patch = Buffer.from('[{"op":"remove","path":"/spec/x"}]').toString('base64');
    hook.answer({ allowed: true, patchType: 'JSONPatch', patch });
    await assert.rejects(create(), refused(500, /^Internal error occurred: .*\/spec\/x/));
  });

  it('but a patch from a validating one is refused', async () => {
    await hooked.validating('v', { clientConfig });
    hook.answer({ allowed: true, patchType: 'JSONPatch', patch: 'W10=' });
    await assert.rejects(
      create(),
      refused(
        500,
        failed('received invalid webhook response: validating webhook may not return response.patch'),
      ),
    );
  });

  it('is passed over where its failures are to be ignored', async () => {
    await hooked.mutating('m', { clientConfig, failurePolicy: 'Ignore' });
    await hooked.validating('v', { clientConfig, failurePolicy: 'Ignore' });
    hook.answer(() => raw(500, 'boom'));
    await create();
    hook.answer({ allowed: false });
    await assert.rejects(create(), refused(400, /denied the request/));
  });

  it('is given its time and no more, and holds up nobody else', async () => {
    await hooked.validating('v', {
      clientConfig,
      timeoutSeconds: 1,
      objectSelector: { matchLabels: { slow: 'x' } },
    });
    const { promise: asked, resolve: heard } = Promise.withResolvers<void>();
    hook.answer(() => () => heard());
    const slow = hooked.admin.create(core.configmaps, {
      metadata: { name: 'slow', namespace: 'space', labels: { slow: 'x' } },
    });
    const text = failed(
      `failed to call webhook: Post "https://127.0.0.1:${hook.port}/review?timeout=1s": context deadline exceeded`,
    );
    const rejected = assert.rejects(slow, refused(500, text));
    await asked;
    const before = performance.now();
    for (let i = 0; i < 20; i++) await create();
    assert.ok(performance.now() - before < 1000);
    await rejected;
  });

  it('has so many requests waiting for it that others are told to come again', async () => {
    await hooked.validating('v', { clientConfig, timeoutSeconds: 1 });
    hook.answer(() => () => {});
    const asked = await Promise.allSettled(Array.from({ length: 130 }, create));
    const codes = asked.map((each) =>
      each.status === 'rejected' ? (each.reason as { code: number }).code : 201,
    );
    assert.equal(codes.filter((code) => code === 500).length, 100);
    assert.equal(codes.filter((code) => code === 429).length, 30);
  });
});

describe('a webhook that cannot be reached safely', () => {
  it('because nobody listens', async () => {
    const probe: Server = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise<void>((resolve) => probe.close(() => resolve()));
    await hooked.validating('v', { clientConfig: { ...clientConfig, url: `https://127.0.0.1:${port}/x` } });
    const text = `failed to call webhook: Post "https://127.0.0.1:${port}/x?timeout=10s": dial tcp 127.0.0.1:${port}: connect: connection refused`;
    await assert.rejects(create(), refused(500, failed(text)));
  });

  it('because nobody vouches for its certificate', async () => {
    await hooked.validating('v', { clientConfig: { url: clientConfig.url as string } });
    await assert.rejects(
      create(),
      refused(500, /: tls: failed to verify certificate: x509: certificate signed by unknown authority$/),
    );
  });

  it('because its certificate is for somebody else', async () => {
    const { pki } = hooked.test;
    const server = pki.issue('other', '/CN=127.0.0.1', 'subjectAltName=DNS:other.example.com');
    const other = await startWebhookServer({ ...pki, server });
    await hooked.validating('v', { clientConfig: other.clientConfig });
    await assert.rejects(
      create(),
      refused(
        500,
        /x509: cannot validate certificate for 127\.0\.0\.1 because it doesn't contain any IP SANs$/,
      ),
    );
    assert.equal(other.reviews.length, 0);
    await other[Symbol.asyncDispose]();
  });

  it('because its certificate names it only as its subject', async () => {
    const { pki } = hooked.test;
    const server = pki.issue('legacy', '/CN=127.0.0.1', 'basicConstraints=CA:FALSE');
    const other = await startWebhookServer({ ...pki, server });
    await hooked.validating('v', { clientConfig: other.clientConfig });
    await assert.rejects(
      create(),
      refused(500, /x509: certificate relies on legacy Common Name field, use SANs instead$/),
    );
    await other[Symbol.asyncDispose]();
  });

  it('because there is no such Service', async () => {
    const service = { namespace: 'space', name: 'gone', path: '/x' };
    await hooked.validating('v', { clientConfig: { service } });
    const text =
      'failed to call webhook: Post "https://gone.space.svc:443/x?timeout=10s": services "gone" not found';
    await assert.rejects(create(), refused(500, failed(text)));
  });
});
