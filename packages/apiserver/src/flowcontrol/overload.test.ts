import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { systemClock } from '@cloudless/kube/clock';
import { flowcontrol } from '@cloudless/kube/resources';
import type { FlowSchema } from '@cloudless/kube/types/flowcontrol-v1';
import type { AdmissionPlugin } from '../admission/plugin.ts';
import { flowControlHook, revise } from '../hooks/flow-control.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { mandatory, suggested } from './bootstrap.ts';

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

const configMaps = '/api/v1/namespaces/default/configmaps';
const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';

/** Tries until it holds, for at most ten seconds. */
async function eventually(holds: () => void | Promise<void>): Promise<void> {
  const untilMs = Date.now() + 10_000;
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- tried again
      return await holds();
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      // oxlint-disable-next-line no-await-in-loop -- tried again
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('an overloaded server', () => {
  let test: TestServer;
  let session: ClientHttp2Session;
  const held: Array<() => void> = [];
  let holding = true;
  /** Holds what ordinary users create until the test lets it go. */
  const slow: AdmissionPlugin = {
    name: 'Slow',
    handles: () => true,
    admit: ({ user }: { user: { name: string } }) =>
      holding && !user.name.startsWith('system:')
        ? new Promise<void>((resolve) => held.push(resolve))
        : undefined,
  };

  const send = (
    user: string,
    method: string,
    path: string,
    body?: object,
    groups = '',
    extra: Record<string, string> = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ':path': path,
        ':method': method,
        'content-type': 'application/json',
        'x-user': user,
        'x-groups': groups,
        ...extra,
      });
      let headers: IncomingHttpHeaders & { ':status'?: number } = {};
      let text = '';
      stream.on('response', (given) => (headers = given));
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('end', () => resolve({ status: headers[':status'] ?? 0, headers, body: text }));
      stream.on('error', reject);
      stream.end(body && JSON.stringify(body));
    });
  const configMap = (name: string): object => ({ metadata: { name } });

  before(async () => {
    test = await startTestServer({
      maxMutatingInflight: 10,
      maxReadOnlyInflight: 20,
      clock: systemClock,
      hooks: [flowControlHook],
      authenticators: () => [
        {
          authenticate: ({ headers }) => ({
            user: {
              name: String(headers['x-user']),
              groups: String(headers['x-groups'] ?? '')
                .split(',')
                .filter(Boolean),
            },
          }),
        },
      ],
      admission: () => [slow],
    });
    await test.server.ready;
    session = connect(test.url, { ca: test.pki.ca });
  });
  after(async () => {
    holding = false;
    for (const release of held) release();
    session.close();
    await test[Symbol.asyncDispose]();
  });

  it('tells what each request was classified as, and of schemas without a level', async () => {
    const { caches } = test.server;
    const schema = caches.of(flowcontrol.flowschemas).get('', 'global-default') as FlowSchema;
    const level = caches.of(flowcontrol.prioritylevelconfigurations).get('', 'global-default');
    await eventually(async () => {
      const { headers } = await send('someone', 'GET', '/version');
      assert.equal(headers['x-kubernetes-pf-flowschema-uid'], schema.metadata.uid);
      assert.equal(headers['x-kubernetes-pf-prioritylevel-uid'], level?.metadata.uid);
    });
    const admin = test.server.clientFor({ name: 'system:admin', groups: ['system:masters'] });
    await admin.create(flowcontrol.flowschemas, {
      metadata: { name: 'lost' },
      spec: { ...(suggested.schemas[0] as FlowSchema).spec, priorityLevelConfiguration: { name: 'none' } },
    });
    const conditionOf = async (name: string) => {
      const { status } = await admin.get(flowcontrol.flowschemas, name);
      return {
        ...status?.conditions?.find(({ type }) => type === 'Dangling'),
        lastTransitionTime: undefined,
      };
    };
    const intro = 'This FlowSchema references the PriorityLevelConfiguration object named';
    await eventually(async () => {
      assert.deepEqual(await conditionOf('lost'), {
        type: 'Dangling',
        status: 'True',
        reason: 'NotFound',
        message: `${intro} "none" but there is no such object`,
        lastTransitionTime: undefined,
      });
      assert.deepEqual(await conditionOf('probes'), {
        type: 'Dangling',
        status: 'False',
        reason: 'Found',
        message: `${intro} "exempt" and it exists`,
        lastTransitionTime: undefined,
      });
    });
  });

  it('lists schemas in the order in which it asks them, as a table', async () => {
    const path = '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas';
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const { body } = await send('someone', 'GET', path, undefined, 'system:masters', { accept });
    const { rows } = JSON.parse(body) as { rows: Array<{ cells: string[] }> };
    const names = rows.map(({ cells: [name] }) => name).filter((name) => name !== 'lost');
    assert.deepEqual(names.slice(0, 3), ['exempt', 'probes', 'system-leader-election']);
    assert.deepEqual(names.slice(-2), ['global-default', 'catch-all']);
  });

  it('lets nodes renew their leases and others have their turn while one user floods it', async () => {
    const flood = Array.from({ length: 200 }, (_, i) =>
      send('flood', 'POST', configMaps, configMap(`f-${i}`)),
    );
    // The level's seats are taken: whoever comes next waits.
    await eventually(() => {
      const [, waiting] = /current_inqueue_requests\{flow_schema="global-default".*\} (\d+)/.exec(
        test.server.metrics(),
      ) as unknown as string[];
      assert.ok(Number(waiting) > 100);
    });
    const body = { metadata: { name: 'a' }, spec: { holderIdentity: 'a' } };
    const renewed = await send('system:node:a', 'POST', lease, body, 'system:nodes');
    assert.equal(renewed.status, 201);
    assert.equal((await send('other-admin', 'GET', configMaps, undefined, 'system:masters')).status, 200);
    const served: Answer[] = [];
    const modest = send('modest', 'GET', configMaps).then((answer) => served.push(answer));
    let released = 0;
    while (served.length === 0 && released < 150) {
      held.shift()?.();
      released++;
      // oxlint-disable-next-line no-await-in-loop -- one seat after the other
      await new Promise((resolve) => setImmediate(resolve));
    }
    await modest;
    assert.equal(served[0]?.status, 200);
    assert.ok(released < 150, 'the modest user waited for the whole flood');
    holding = false;
    for (const release of held) release();
    const answers = await Promise.all(flood);
    assert.ok(answers.every(({ status }) => status === 201 || status === 429));
    holding = true;
    held.length = 0;
  });

  it('refuses what its queues cannot hold, with the time to wait', async () => {
    const admin = test.server.clientFor({ name: 'system:admin', groups: ['system:masters'] });
    const level = structuredClone(await admin.get(flowcontrol.prioritylevelconfigurations, 'global-default'));
    (level.metadata.annotations ??= {})['apf.kubernetes.io/autoupdate-spec'] = 'false';
    (level.spec?.limited?.limitResponse?.queuing ?? {}).queueLengthLimit = 2;
    const { metadata } = await admin.update(flowcontrol.prioritylevelconfigurations, level);
    const cache = test.server.caches.of(flowcontrol.prioritylevelconfigurations);
    await eventually(() =>
      assert.equal(cache.get('', 'global-default')?.metadata.resourceVersion, metadata.resourceVersion),
    );
    // It is taken in when the event loop turns.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const posts = Array.from({ length: 100 }, (_, i) =>
      send('flood', 'POST', configMaps, configMap(`g-${i}`)),
    );
    const refused = await Promise.any(
      posts.map(async (post) => {
        const answer = await post;
        assert.equal(answer.status, 429);
        return answer;
      }),
    );
    assert.equal(refused.headers['retry-after'], '1');
    assert.match(refused.body, /"message":"Too many requests, please try again later\."/);
    assert.ok(/rejected_requests_total\{.*reason="queue-full"\} [1-9]/.test(test.server.metrics()));
    holding = false;
    for (const release of held) release();
    await Promise.all(posts);
    holding = true;
    held.length = 0;
  });

  it('answers 504 when the time of a request is over, and 400 for a timeout that is none', async () => {
    const late = await send('late', 'POST', `${configMaps}?timeout=50ms`, configMap('late'));
    assert.equal(late.status, 504);
    const { message, reason } = JSON.parse(late.body) as { message: string; reason: string };
    assert.equal(message, 'Timeout: request did not complete within the allotted timeout');
    assert.equal(reason, 'Timeout');
    for (const release of held) release();
    const wrong = await send('late', 'GET', '/version?timeout=invalid');
    assert.equal(wrong.status, 400);
    assert.match(
      wrong.body,
      /invalid timeout specified in the request URL - time: invalid duration \\"invalid\\"/,
    );
    for (const timeout of ['3m', '0s']) {
      // oxlint-disable-next-line no-await-in-loop -- two
      assert.equal((await send('late', 'GET', `/version?timeout=${timeout}`)).status, 200);
    }
  });
});

describe('objects that every cluster has', () => {
  it('are kept as they are shipped, unless somebody has made them his own', () => {
    const wanted = suggested.schemas[0] as FlowSchema;
    const stored = (generation: number, annotation?: string): FlowSchema => ({
      metadata: {
        name: 'system-nodes',
        generation,
        annotations: annotation === undefined ? {} : { 'apf.kubernetes.io/autoupdate-spec': annotation },
      },
      spec: { ...(wanted.spec as NonNullable<FlowSchema['spec']>), matchingPrecedence: 7 },
    });
    const annotationOf = (one: FlowSchema | undefined): string | undefined =>
      one?.metadata.annotations?.['apf.kubernetes.io/autoupdate-spec'];
    assert.equal(revise(wanted, wanted, false), undefined);
    assert.deepEqual(revise(stored(3, 'true'), wanted, false)?.spec, wanted.spec);
    assert.equal(revise(stored(3, 'false'), wanted, false), undefined);
    assert.deepEqual(revise(stored(3, 'false'), wanted, true)?.spec, wanted.spec);
    assert.equal(annotationOf(revise(stored(3, 'false'), wanted, true)), 'true');
    assert.equal(annotationOf(revise(stored(3), wanted, false)), 'false');
    assert.deepEqual(revise(stored(1), wanted, false)?.spec, wanted.spec);
  });

  it('leave the shares of the exempt level to the administrator', () => {
    const [, exempt] = mandatory.levels as [unknown, (typeof mandatory.levels)[number]];
    const own: typeof exempt = {
      ...exempt,
      spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 9, lendablePercent: 3 } },
    };
    assert.equal(revise(own, exempt, true), undefined);
  });
});
