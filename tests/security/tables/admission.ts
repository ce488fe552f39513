// What every write must satisfy, and the ways around it.
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Attack, AttackTable } from '../attack.ts';
import type { Answer, Asked } from '../send.ts';
import type { Victim } from '../victim.ts';
import { serve } from './objects.ts';

const merge = { 'content-type': 'application/merge-patch+json' };
const strategic = { 'content-type': 'application/strategic-merge-patch+json' };
const json = { 'content-type': 'application/json-patch+json' };
const pods = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;

/** Does as admin what a row needs; each thing once. */
async function make(victim: Victim, path: string, body: object): Promise<void> {
  const { code, body: text } = await victim.ask('admin', { path, body });
  assert.ok(code === 201 || code === 409, `${path}: ${code} ${text}`);
}

async function namespace(victim: Victim, name: string, labels: Record<string, string> = {}): Promise<void> {
  await make(victim, '/api/v1/namespaces', { metadata: { name, labels } });
  await make(victim, `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } });
}

const enforced = (victim: Victim): Promise<void> =>
  namespace(victim, 'guarded', { 'pod-security.kubernetes.io/enforce': 'baseline' });

const pod = (name: string, spec: object = {}, container: object = {}): object => ({
  metadata: { name },
  spec: { containers: [{ name: 'main', image: 'busybox:1', ...container }], ...spec },
});

/** A pod that the level `baseline` forbids, as admin: no right is missing, only the level stands in the way. */
const insecure = (what: string, body: object): Attack => ({
  name: `pod security: ${what}`,
  outcome: '403',
  code: 403,
  says: /violates PodSecurity/,
  async send(victim) {
    await enforced(victim);
    return await victim.ask('admin', { path: pods('guarded'), body });
  },
});

const podSecurity: Attack[] = [
  insecure('privileged', pod('p', {}, { securityContext: { privileged: true } })),
  insecure('host network', pod('p', { hostNetwork: true })),
  insecure('hostPath', pod('p', { volumes: [{ name: 'h', hostPath: { path: '/' } }] })),
  insecure(
    'hostPath beside another kind of volume',
    pod('p', {
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'h', hostPath: { path: '/' } },
      ],
    }),
  ),
  insecure(
    'privileged as init container',
    pod('p', { initContainers: [{ name: 'i', image: 'b', securityContext: { privileged: true } }] }),
  ),
  insecure(
    'privileged as sidecar',
    pod('p', {
      initContainers: [
        { name: 'i', image: 'b', restartPolicy: 'Always', securityContext: { privileged: true } },
      ],
    }),
  ),
  insecure('a host port', pod('p', {}, { ports: [{ containerPort: 80, hostPort: 80 }] })),
  insecure('a capability', pod('p', {}, { securityContext: { capabilities: { add: ['SYS_ADMIN'] } } })),
  insecure('a sysctl', pod('p', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } })),
  insecure('an unconfined AppArmor profile by annotation', {
    ...pod('p'),
    metadata: {
      name: 'p',
      annotations: { 'container.apparmor.security.beta.kubernetes.io/main': 'unconfined' },
    },
  }),
  {
    name: 'pod security: a privileged ephemeral container',
    outcome: '403',
    code: 403,
    says: /violates PodSecurity/,
    async send(victim) {
      await enforced(victim);
      await make(victim, pods('guarded'), pod('plain'));
      return await victim.ask('admin', {
        method: 'PATCH',
        path: `${pods('guarded')}/plain/ephemeralcontainers`,
        headers: strategic,
        body: {
          spec: {
            ephemeralContainers: [{ name: 'debug', image: 'b', securityContext: { privileged: true } }],
          },
        },
      });
    },
  },
  {
    name: 'ephemeral containers through the pod itself',
    outcome: '422',
    code: 422,
    async send(victim) {
      await enforced(victim);
      await make(victim, pods('guarded'), pod('plain'));
      return await victim.ask('admin', {
        method: 'PATCH',
        path: `${pods('guarded')}/plain`,
        headers: strategic,
        body: { spec: { ephemeralContainers: [{ name: 'debug', image: 'b' }] } },
      });
    },
  },
  {
    name: 'pod security: privileged by an update',
    outcome: '403 or 422',
    code: [403, 422],
    async send(victim) {
      await enforced(victim);
      await make(victim, pods('guarded'), pod('plain'));
      return await victim.ask('admin', {
        method: 'PATCH',
        path: `${pods('guarded')}/plain`,
        headers: json,
        body: [{ op: 'add', path: '/spec/containers/0/securityContext', value: { privileged: true } }],
      });
    },
  },
  {
    name: 'pod security: privileged by server-side apply',
    outcome: '403',
    code: 403,
    says: /violates PodSecurity/,
    async send(victim) {
      await enforced(victim);
      return await victim.ask('admin', {
        method: 'PATCH',
        path: `${pods('guarded')}/applied?fieldManager=x&force=true`,
        headers: { 'content-type': 'application/apply-patch+yaml' },
        body: { apiVersion: 'v1', kind: 'Pod', ...pod('applied', { hostPID: true }) },
      });
    },
  },
  {
    name: 'pod security: the pod template of a Deployment',
    outcome: 'a warning; its pods are refused',
    async send(victim) {
      await enforced(victim);
      const spec = { hostNetwork: true, containers: [{ name: 'a', image: 'b' }] };
      await victim.ask('admin', {
        method: 'PATCH',
        path: '/api/v1/namespaces/guarded',
        headers: merge,
        body: { metadata: { labels: { 'pod-security.kubernetes.io/warn': 'baseline' } } },
      });
      const { code, headers } = await victim.ask('admin', {
        path: '/apis/apps/v1/namespaces/guarded/deployments',
        body: {
          metadata: { name: 'd' },
          spec: {
            selector: { matchLabels: { a: 'b' } },
            template: { metadata: { labels: { a: 'b' } }, spec },
          },
        },
      });
      assert.equal(code, 201);
      assert.match(String(headers['warning']), /would violate PodSecurity/);
    },
  },
  {
    name: 'pod security: the level taken away by who may only edit pods',
    outcome: '403',
    code: 403,
    send: (victim) =>
      victim.ask('alice', {
        method: 'PATCH',
        path: '/api/v1/namespaces/guarded',
        headers: merge,
        body: { metadata: { labels: { 'pod-security.kubernetes.io/enforce': null } } },
      }),
  },
];

/** A namespace with a quota whose status its controller would have written. */
async function quota(victim: Victim, name: string, hard: Record<string, string>): Promise<void> {
  await namespace(victim, name);
  const path = `/api/v1/namespaces/${name}/resourcequotas`;
  await make(victim, path, { metadata: { name: 'q' }, spec: { hard } });
  const used = Object.fromEntries(Object.keys(hard).map((key) => [key, '0']));
  const written = await victim.ask('admin', {
    method: 'PATCH',
    path: `${path}/q/status`,
    headers: merge,
    body: { status: { hard, used } },
  });
  assert.equal(written.code, 200, written.body);
}

async function count(victim: Victim, path: string): Promise<number> {
  const { body } = await victim.ask('admin', { path });
  return (JSON.parse(body) as { items: unknown[] }).items.length;
}

const quotas: Attack[] = [
  {
    name: 'quota: 60 creates at once for 5 places',
    outcome: '5 created, the others 403',
    async send(victim) {
      await quota(victim, 'narrow', { 'count/configmaps': '5' });
      const path = '/api/v1/namespaces/narrow/configmaps';
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, i) =>
          victim.ask('admin', { path, body: { metadata: { name: `c${i}` } } }),
        ),
      );
      const made = answers.filter(({ code }) => code === 201).length;
      assert.deepEqual(
        answers.map(({ code }) => code).filter((code) => code !== 201 && code !== 403 && code !== 409),
        [],
      );
      assert.equal(await count(victim, path), made);
      assert.ok(made <= 5 && made > 0, `${made} were created`);
    },
  },
  {
    name: 'quota: negative requests to give room',
    outcome: '422',
    code: [403, 422],
    async send(victim) {
      await quota(victim, 'cores', { 'requests.cpu': '1' });
      return await victim.ask('admin', {
        path: pods('cores'),
        body: pod('p', {}, { resources: { requests: { cpu: '-100' } } }),
      });
    },
  },
  ...['1e1000', '9'.repeat(400), '1Ei1', '0x10', 'NaN', '1e-999999999'].map((cpu): Attack => ({
    name: `quota: a request of ${cpu.length > 20 ? '400 digits' : cpu}`,
    outcome: 'refused',
    code: [400, 403, 422],
    async send(victim) {
      await quota(victim, 'cores', { 'requests.cpu': '1' });
      return await victim.ask('admin', {
        path: pods('cores'),
        body: pod('q', {}, { resources: { requests: { cpu } } }),
      });
    },
  })),
  {
    name: 'quota: no requests where they are counted',
    outcome: '403',
    code: 403,
    async send(victim) {
      await quota(victim, 'cores', { 'requests.cpu': '1' });
      return await victim.ask('admin', { path: pods('cores'), body: pod('r') });
    },
  },
  {
    name: 'quota: dry runs that use it up',
    outcome: 'they count for nothing',
    async send(victim) {
      await quota(victim, 'dry', { 'count/configmaps': '1' });
      const path = '/api/v1/namespaces/dry/configmaps';
      for (let i = 0; i < 5; i++) {
        const { code } = await victim.ask('admin', {
          path: `${path}?dryRun=All`,
          body: { metadata: { name: `c${i}` } },
        });
        assert.equal(code, 201);
      }
      assert.equal((await victim.ask('admin', { path, body: { metadata: { name: 'real' } } })).code, 201);
      assert.equal((await victim.ask('admin', { path, body: { metadata: { name: 'more' } } })).code, 403);
    },
  },
  {
    name: 'LimitRange: more than its maximum',
    outcome: '403',
    code: 403,
    async send(victim) {
      await namespace(victim, 'limited');
      await make(victim, '/api/v1/namespaces/limited/limitranges', {
        metadata: { name: 'l' },
        spec: { limits: [{ type: 'Container', max: { memory: '64Mi' } }] },
      });
      return await victim.ask('admin', {
        path: pods('limited'),
        body: pod('p', {}, { resources: { requests: { memory: '65Mi' }, limits: { memory: '65Mi' } } }),
      });
    },
  },
];

const lifecycle: Attack[] = [
  {
    name: 'creates while their namespace ends',
    outcome: '403 once it ends, nothing left behind',
    async send(victim) {
      await namespace(victim, 'ending');
      const path = '/api/v1/namespaces/ending/configmaps';
      const answers: Promise<Answer>[] = [];
      for (let i = 0; i < 30; i++) {
        answers.push(victim.ask('admin', { path, body: { metadata: { name: `c${i}` } } }));
        if (i === 10)
          answers.push(victim.ask('admin', { path: '/api/v1/namespaces/ending', method: 'DELETE' }));
      }
      for (const { code, body } of await Promise.all(answers))
        assert.ok([200, 201, 403].includes(code), body);
      assert.equal((await victim.ask('admin', { path, body: { metadata: { name: 'late' } } })).code, 403);
    },
  },
  {
    name: 'an object in a namespace that is not there',
    outcome: '404',
    code: 404,
    send: (victim) =>
      victim.ask('admin', {
        path: '/api/v1/namespaces/nowhere/configmaps',
        body: { metadata: { name: 'x' } },
      }),
  },
  ...['default', 'kube-system', 'kube-public'].map((name): Attack => ({
    name: `the end of ${name}`,
    outcome: '403',
    code: 403,
    send: (victim) => victim.ask('admin', { path: `/api/v1/namespaces/${name}`, method: 'DELETE' }),
  })),
  {
    name: 'a finalized namespace by who may only edit in it',
    outcome: '403',
    code: 403,
    send: (victim) =>
      victim.ask('alice', {
        method: 'PUT',
        path: '/api/v1/namespaces/team/finalize',
        body: { metadata: { name: 'team' }, spec: { finalizers: [] } },
      }),
  },
  {
    name: 'a pod with a service account that is not there',
    outcome: '403',
    code: 403,
    send: (victim) =>
      victim.ask('alice', { path: pods('team'), body: pod('p', { serviceAccountName: 'ghost' }) }),
  },
  {
    name: 'a mirror pod by someone who is no node',
    outcome: 'refused, or without the mark',
    code: [201, 400, 403, 422],
    async send(victim) {
      const body = {
        ...pod('mirrored'),
        metadata: { name: 'mirrored', annotations: { 'kubernetes.io/config.mirror': 'x' } },
      };
      return await victim.ask('alice', { path: pods('team'), body });
    },
  },
  {
    name: 'a priority of one’s own',
    outcome: '403',
    code: 403,
    send: (victim) =>
      victim.ask('alice', { path: pods('team'), body: pod('p', { priority: 2_000_000_000 }) }),
  },
  {
    name: 'a priority class of the system with another value',
    outcome: '422',
    code: 422,
    send: (victim) =>
      victim.ask('admin', {
        path: '/apis/scheduling.k8s.io/v1/priorityclasses',
        body: { metadata: { name: 'system-mine' }, value: 1 },
      }),
  },
];

const registration = '/apis/admissionregistration.k8s.io/v1';

const policy = (name: string, expression: string, resources: object): [Asked, Asked] => [
  {
    path: `${registration}/validatingadmissionpolicies`,
    body: {
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: { resourceRules: [resources] },
        validations: [{ expression, message: 'the policy refuses' }],
      },
    },
  },
  {
    path: `${registration}/validatingadmissionpolicybindings`,
    body: { metadata: { name }, spec: { policyName: name, validationActions: ['Deny'] } },
  },
];

const every = { operations: ['CREATE', 'UPDATE'] };

/** Makes a policy and waits until `probe` is refused by it. */
async function withPolicy(victim: Victim, asked: [Asked, Asked], probe: Asked): Promise<void> {
  for (const each of asked) await make(victim, each.path, each.body as object);
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { code, body } = await victim.ask('admin', probe);
    if (code >= 400 && /the policy refuses/.test(body)) return;
    assert.ok(performance.now() < deadline, `the policy never refused: ${code} ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const policies: Attack[] = [
  {
    name: 'a policy on autoscaling/v2, passed by autoscaling/v1',
    outcome: '422',
    code: 422,
    says: /the policy refuses/,
    async send(victim) {
      const rule = {
        ...every,
        apiGroups: ['autoscaling'],
        apiVersions: ['v2'],
        resources: ['horizontalpodautoscalers'],
      };
      const spec = {
        maxReplicas: 99,
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' },
      };
      const at = (version: string): Asked => ({
        path: `/apis/autoscaling/${version}/namespaces/team/horizontalpodautoscalers?dryRun=All`,
        body: { metadata: { name: 'x' }, spec },
      });
      await withPolicy(victim, policy('few', 'object.spec.maxReplicas < 10', rule), at('v2'));
      return await victim.ask('admin', at('v1'));
    },
  },
  {
    name: 'a policy on Deployments, passed by the scale subresource',
    outcome: 'judged when the policy names it',
    code: 422,
    says: /the policy refuses/,
    async send(victim) {
      const rule = {
        ...every,
        apiGroups: ['apps'],
        apiVersions: ['*'],
        resources: ['deployments', 'deployments/scale'],
      };
      const template = {
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'a', image: 'b' }] },
      };
      const deployment = (replicas: number): object => ({
        metadata: { name: 'scaled' },
        spec: { replicas, selector: { matchLabels: { a: 'b' } }, template },
      });
      const path = '/apis/apps/v1/namespaces/team/deployments';
      await make(victim, path, deployment(1));
      await withPolicy(victim, policy('small', 'object.spec.replicas < 5', rule), {
        path: `${path}?dryRun=All`,
        body: { ...deployment(9), metadata: { name: 'big' } },
      });
      return await victim.ask('admin', {
        method: 'PATCH',
        path: `${path}/scaled/scale`,
        headers: merge,
        body: { spec: { replicas: 50 } },
      });
    },
  },
  {
    name: 'a policy on a custom kind, passed by PATCH of each type',
    outcome: '422 each time',
    async send(victim) {
      await serve(victim, 'judged', {
        properties: { spec: { type: 'object', properties: { n: { type: 'integer' } } } },
      });
      const path = '/apis/pest.example.com/v1/namespaces/team/judged';
      const object = (name: string, n: number): object => ({
        apiVersion: 'pest.example.com/v1',
        kind: 'Judged',
        metadata: { name },
        spec: { n },
      });
      await make(victim, path, object('one', 1));
      const rule = { ...every, apiGroups: ['pest.example.com'], apiVersions: ['*'], resources: ['judged'] };
      await withPolicy(victim, policy('low', 'object.spec.n < 5', rule), {
        path: `${path}?dryRun=All`,
        body: object('two', 9),
      });
      for (const [type, body, query] of [
        ['merge-patch+json', { spec: { n: 9 } }, ''],
        ['json-patch+json', [{ op: 'replace', path: '/spec/n', value: 9 }], ''],
        ['apply-patch+yaml', object('one', 9), '?fieldManager=x&force=true'],
      ] as const) {
        const answer = await victim.ask('alice', {
          method: 'PATCH',
          path: `${path}/one${query}`,
          headers: { 'content-type': `application/${type}` },
          body,
        });
        assert.equal(answer.code, 422, `${type}: ${answer.body}`);
      }
    },
  },
];

/** A webhook of the attacker's, behind a certificate of the victim's CA. */
async function webhook(
  victim: Victim,
  respond: (response: ServerResponse, uid: string) => void,
): Promise<{ url: string; server: Server }> {
  const server = createServer(victim.facts.serverCertificate, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as { request: { uid: string } };
      respond(response, review.request.uid);
    });
    response.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`, server };
}

/** Sends a create past a hostile webhook and judges what the client hears. */
const hostile = (
  what: string,
  outcome: string,
  respond: (response: ServerResponse, uid: string) => void,
  judge: (answer: Answer) => void,
): Attack => ({
  name: `a webhook ${what}`,
  outcome,
  async send(victim) {
    const { url, server } = await webhook(victim, respond);
    const name = 'hostile';
    const path = `${registration}/mutatingwebhookconfigurations`;
    await namespace(victim, 'hooked', { hooked: 'yes' });
    await make(victim, path, {
      metadata: { name },
      webhooks: [
        {
          name: 'hook.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          timeoutSeconds: 2,
          failurePolicy: 'Fail',
          clientConfig: { url, caBundle: Buffer.from(victim.ca).toString('base64') },
          namespaceSelector: { matchLabels: { hooked: 'yes' } },
          rules: [
            { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] },
          ],
        },
      ],
    });
    try {
      judge(
        await victim.ask('admin', {
          path: '/api/v1/namespaces/hooked/configmaps',
          body: { metadata: { generateName: 'x-' }, data: { a: 'b' } },
        }),
      );
    } finally {
      await victim.ask('admin', { path: `${path}/${name}`, method: 'DELETE' });
      server.closeAllConnections();
      server.close();
    }
  },
});

const review = (uid: string, response: object): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, ...response },
  });
const patching = (uid: string, patch: unknown): string =>
  review(uid, {
    allowed: true,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
  });
const isRefused = ({ code, body }: Answer): void => assert.ok(code >= 400 && code < 600, `${code} ${body}`);

const webhooks: Attack[] = [
  hostile('that never answers', 'refused after its timeout', () => {}, isRefused),
  hostile(
    'that answers for ever',
    'refused, not buffered',
    (response) => {
      const chunk = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    },
    isRefused,
  ),
  hostile(
    'that moves the object elsewhere',
    'refused',
    (response, uid) =>
      response.end(patching(uid, [{ op: 'replace', path: '/metadata/namespace', value: 'kube-system' }])),
    isRefused,
  ),
  hostile(
    'that patches the prototype',
    'refused or data',
    (response, uid) => response.end(patching(uid, [{ op: 'add', path: '/__proto__/polluted', value: 1 }])),
    () => assert.equal(({} as Record<string, unknown>)['polluted'], undefined),
  ),
  hostile(
    'that doubles a field 40 times',
    'refused',
    (response, uid) =>
      response.end(
        patching(
          uid,
          Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/data', path: `/data/x${i}` })),
        ),
      ),
    isRefused,
  ),
  hostile(
    'that redirects to the API server',
    'refused',
    (response) => {
      response.writeHead(307, { location: 'https://127.0.0.1/' });
      response.end();
    },
    isRefused,
  ),
  hostile('that answers deep JSON', 'refused', (response) => response.end('['.repeat(200_000)), isRefused),
  hostile(
    'that warns with CR and LF',
    'no header is added',
    (response, uid) =>
      response.end(review(uid, { allowed: true, warnings: ['a\r\nX-Injected: 1', 'b'.repeat(100_000)] })),
    ({ headers }) => assert.equal(headers['x-injected'], undefined),
  ),
  {
    name: 'webhooks for webhook configurations',
    outcome: 'never called: a bad one can be taken away',
    async send(victim) {
      const path = `${registration}/validatingwebhookconfigurations`;
      await make(victim, path, {
        metadata: { name: 'keeper-of-itself' },
        webhooks: [
          {
            name: 'self.example.com',
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            timeoutSeconds: 1,
            clientConfig: { url: 'https://127.0.0.1:1/' },
            rules: [
              {
                operations: ['*'],
                apiGroups: ['admissionregistration.k8s.io'],
                apiVersions: ['*'],
                resources: ['*'],
              },
            ],
          },
        ],
      });
      const { code, body } = await victim.ask('admin', {
        path: `${path}/keeper-of-itself`,
        method: 'DELETE',
      });
      assert.equal(code, 200, body);
    },
  },
];

export const admission: AttackTable = {
  title: 'Admission',
  attacks: [...podSecurity, ...quotas, ...lifecycle, ...policies, ...webhooks],
};
