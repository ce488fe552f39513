import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Caches } from '../cache/cache.ts';
import { makePki } from '../testing/test-server.ts';
import { type Answer, startWebhookServer } from '../testing/webhook-server.ts';
import { WebhookClients } from './client.ts';
import { serviceResolver } from './service-resolver.ts';

/** Caches that hold these objects, by plural. */
const cachesOf = (objects: Record<string, KubeObject[]>): Caches =>
  ({
    of: ({ plural }: { plural: string }) => ({
      ready: Promise.resolve(),
      fresh: () => Promise.resolve(),
      get: (_namespace: string, name: string) => objects[plural]?.find((each) => each.metadata.name === name),
      list: () => objects[plural] ?? [],
    }),
  }) as unknown as Caches;

describe('serviceResolver', () => {
  const service = (spec: Service['spec']): Service => ({ metadata: { name: 's', namespace: 'n' }, spec });
  const slice = (
    addressType: string,
    port: number,
    ...endpoints: EndpointSlice['endpoints'] & object
  ): EndpointSlice => ({
    metadata: { name: addressType, namespace: 'n', labels: { 'kubernetes.io/service-name': 's' } },
    addressType,
    ports: [{ name: 'https', port }],
    endpoints,
  });
  const ports = [{ name: 'https', port: 443, targetPort: 8443 }];
  const resolve = (spec: Service['spec'], ...slices: EndpointSlice[]) =>
    serviceResolver(cachesOf({ services: [service(spec)], endpointslices: slices }), () => 0)('n', 's', 443);
  const clusterIP = '10.96.0.7';

  it('finds a ready endpoint of the port, of the first family', async () => {
    const slices = [
      slice('IPv6', 8443, { addresses: ['fd00::1'] }),
      slice(
        'IPv4',
        8443,
        { addresses: ['10.0.0.1'], conditions: { ready: false } },
        { addresses: ['10.0.0.2'] },
      ),
    ];
    const found = await resolve({ clusterIP, ipFamilies: ['IPv4', 'IPv6'], ports }, ...slices);
    assert.deepEqual(found, { host: '10.0.0.2', port: 8443 });
  });
  it('falls back to the address of the Service', async () => {
    assert.deepEqual(await resolve({ clusterIP, ports }), { host: clusterIP, port: 443 });
  });
  it('follows an external name', async () => {
    const found = await resolve({ type: 'ExternalName', externalName: 'x.example.com', ports });
    assert.deepEqual(found, { host: 'x.example.com', port: 443 });
  });
  it('says what is missing', async () => {
    await assert.rejects(resolve({ clusterIP, ports: [] }), {
      message: 'no service port 443 found for service "s"',
    });
    await assert.rejects(resolve({ clusterIP: 'None', ports }), {
      message: 'no endpoints available for service "s"',
    });
    const none = serviceResolver(cachesOf({}));
    await assert.rejects(none('n', 's', 443), { message: 'services "s" not found' });
  });
});

describe('WebhookClients', () => {
  it('knows a Service by its name in the cluster, whatever its address', async () => {
    const pki = makePki();
    const server = pki.issue('svc', '/CN=svc', 'subjectAltName=DNS:hook.space.svc');
    await using hook = await startWebhookServer({ ...pki, server });
    const stopping = new AbortController();
    const clients = new WebhookClients({
      resolve: () => Promise.resolve({ host: '127.0.0.1', port: hook.port }),
      userAgent: 'test',
      signal: stopping.signal,
    });
    const caBundle = Buffer.from(pki.ca).toString('base64');
    const body = Buffer.from(JSON.stringify({ request: { uid: 'u' } }));
    const service = { name: 'hook', namespace: 'space', path: '/p' };
    const answer = await clients.post({ service, caBundle }, body, { timeoutMs: 5000 });
    assert.equal((JSON.parse(answer.toString()) as { response: { uid: string } }).response.uid, 'u');
    await assert.rejects(
      clients.post({ service: { ...service, name: 'other' }, caBundle }, body, { timeoutMs: 5000 }),
      {
        message:
          'Post "https://other.space.svc:443/p?timeout=5s": tls: failed to verify certificate: x509: certificate is valid for hook.space.svc, not other.space.svc',
      },
    );
    stopping.abort();
    await assert.rejects(clients.post({ service, caBundle }, body, { timeoutMs: 5000 }), /context canceled/);
    pki.remove();
  });

  it('tries once more when a kept connection was closed meanwhile', async () => {
    const pki = makePki();
    await using hook = await startWebhookServer(pki);
    const clients = new WebhookClients({
      resolve: () => Promise.reject(new Error('unused')),
      userAgent: 'test',
    });
    const body = Buffer.from(JSON.stringify({ request: { uid: 'u' } }));
    await clients.post(hook.clientConfig, body, { timeoutMs: 5000 });
    let broken = 0;
    const breakOff: Answer = (_review, response) => void response.destroy();
    hook.answer(() => (broken++ === 0 ? breakOff : { allowed: true }));
    await clients.post(hook.clientConfig, body, { timeoutMs: 5000 });
    assert.equal(broken, 2);
    pki.remove();
  });
});
