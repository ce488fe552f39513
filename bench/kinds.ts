// Long lists, server-side apply, CustomResourceDefinitions and their objects, with the event-loop delay of the server under
// each: what a thousand others wait for while one asks.
import { timed } from './cluster.ts';
import { Connection } from './h2.ts';
import { podBody } from './scale-pods.ts';
import { type Figures, startServer } from './server.ts';
import { megabytes, median, ms, perSecond, printTable, quantile, type Row } from './table.ts';

const scale = process.env['QUICK'] === undefined ? 1 : 0.1;
const pods = Math.round(10_000 * scale);
const clients = 16;

const server = await startServer();
const connections = await Promise.all(Array.from({ length: 4 }, () => Connection.open(server.kubeconfig)));
const client = (i: number): Connection => connections[i % connections.length] as Connection;
const rows: Row[] = [];

function loopRow(what: string, { delayMs, gc, cpu }: Figures): Row {
  return {
    what: `event-loop delay p99, ${what}`,
    value: `${delayMs.p99.toFixed(1)} ms (worst ${ms(delayMs.max)}; gc worst ${ms(gc.maxMs)}; ${(cpu * 100).toFixed(0)}% of a core)`,
    goal: '< 30 ms',
  };
}

/** Runs `work`, then a row of its own and one of the event loop under it. */
async function under(what: string, work: () => Promise<Row>): Promise<void> {
  await server.figures();
  rows.push(await work());
  rows.push(loopRow(what, await server.figures()));
}

const groups = '/apis/example.org/v1/namespaces/bench';
const definition = (name: string): string => {
  const text = { type: 'string', maxLength: 200 };
  const items = {
    type: 'array',
    maxItems: 50,
    items: { type: 'object', properties: { name: text, value: text } },
  };
  const spec = {
    type: 'object',
    required: ['size'],
    properties: {
      size: { type: 'integer', minimum: 1, maximum: 100 },
      mode: { ...text, default: 'plain' },
      items,
    },
    'x-kubernetes-validations': [{ rule: "self.size < 50 || self.mode != 'small'", message: 'too large' }],
  };
  return JSON.stringify({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${name}s.example.org` },
    spec: {
      group: 'example.org',
      scope: 'Namespaced',
      names: { plural: `${name}s`, singular: name, kind: name.replace(/^./, (first) => first.toUpperCase()) },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
        },
      ],
    },
  });
};

const custom = (kind: string, i: number): string =>
  JSON.stringify({
    apiVersion: 'example.org/v1',
    kind,
    metadata: { name: `object-${i}` },
    spec: {
      size: 1 + (i % 100),
      items: [
        { name: 'a', value: 'b' },
        { name: 'c', value: `d${i}` },
      ],
    },
  });

const deployment = (i: number, replicas: number): string =>
  JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: `applied-${i}`, namespace: 'bench', labels: { app: `applied-${i}` } },
    spec: {
      replicas,
      paused: true,
      selector: { matchLabels: { app: `applied-${i}` } },
      template: {
        metadata: { labels: { app: `applied-${i}` } },
        spec: (JSON.parse(podBody('template', 'bench', undefined)) as { spec: object }).spec,
      },
    },
  });

/** Milliseconds until the path answers with 200. */
async function served(path: string, startedMs: number): Promise<number> {
  for (;;) {
    const found = await client(0)
      .send('GET', path)
      .then(
        () => true,
        () => false,
      );
    if (found) return performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

try {
  for (const name of ['bench', 'pods']) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await client(0).send('POST', '/api/v1/namespaces', JSON.stringify(body));
  }
  // The service account of a new namespace comes a moment later, and pods need it.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await under(`while ${pods} pods are created`, async () => {
    const tookMs = await timed(pods, clients, (i) =>
      client(i).send('POST', '/api/v1/namespaces/pods/pods', podBody(`pod-${i}`, 'pods', 'nowhere')),
    );
    return { what: `${pods} pods created, ${clients} at a time`, value: perSecond(pods, tookMs) };
  });
  await under('while it is listed', async () => {
    const took: number[] = [];
    let bytes = 0;
    for (let i = 0; i < 10; i++) {
      const startedMs = performance.now();
      bytes = (await client(0).send('GET', '/api/v1/namespaces/pods/pods')).length;
      took.push(performance.now() - startedMs);
    }
    return {
      what: `LIST ${pods} pods (${megabytes(bytes)}), one client, median of 10`,
      value: ms(median(took)),
    };
  });
  const applied = Math.round(3_000 * scale);
  const apply = (what: string, replicas: number): Promise<void> =>
    under(`while they are applied (${what})`, async () => {
      const tookMs = await timed(applied, clients, (i) =>
        client(i).send(
          'PATCH',
          `/apis/apps/v1/namespaces/bench/deployments/applied-${i}?fieldManager=bench`,
          deployment(i, replicas),
          'application/apply-patch+yaml',
        ),
      );
      return {
        what: `server-side apply of a Deployment, ${what}, ${clients} clients`,
        value: perSecond(applied, tookMs),
      };
    });
  await apply('new', 0);
  await apply('changed', 1);
  await apply('unchanged', 1);
  const definitions = 20;
  await under('while they are created', async () => {
    const took: number[] = [];
    for (let i = 0; i < definitions; i++) {
      const startedMs = performance.now();
      await client(0).send(
        'POST',
        '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
        definition(`kind${i}`),
      );
      took.push(await served(`/apis/example.org/v1/namespaces/bench/kind${i}s`, startedMs));
    }
    return {
      what: `CustomResourceDefinition created to served, p50 and worst of ${definitions}`,
      value: `${ms(median(took))}, ${ms(quantile(took, 1))}`,
    };
  });
  const objects = Math.round(5_000 * scale);
  await under('while they are created', async () => {
    const tookMs = await timed(objects, clients, (i) =>
      client(i).send('POST', `${groups}/kind0s`, custom('Kind0', i)),
    );
    return {
      what: `custom resources with CEL created, ${clients} clients`,
      value: perSecond(objects, tookMs),
    };
  });
} finally {
  for (const connection of connections) connection.close();
  await server[Symbol.asyncDispose]();
}
printTable('Long lists, apply, custom kinds', rows);
