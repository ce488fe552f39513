// The API server over TLS from another process: gets, lists, durable creates, fan-out of one event, memory.
import { isolate } from '../packages/network/src/testing/namespaces.ts';
import { addUplink, TestCluster } from '../tests/e2e/cluster.ts';
import { RawClient, residentBytes, samplePod, timed } from './cluster.ts';
import { megabytes, perSecond, printTable, quantile, type Row } from './table.ts';

isolate();
addUplink();
const cluster = new TestCluster();
const rows: Row[] = [];
const quick = process.env['QUICK'] !== undefined;
const scale = quick ? 0.1 : 1;

try {
  await cluster.up('--runtime', 'simulated');
  const pid = await cluster.pidOf('control-plane');
  await new Promise((resolve) => setTimeout(resolve, 5000));
  rows.push({
    what: 'control plane, resident when idle',
    value: megabytes(residentBytes(pid)),
    goal: '< 150 MB',
  });

  const client = new RawClient(cluster.kubeconfig, 64);
  const namespace = (name: string): string =>
    JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const name of ['lists', 'creates', 'many'])
    await client.send('POST', '/api/v1/namespaces', namespace(name));
  // The service account of a new namespace comes a moment later, and pods need it.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await timed(500, 16, (i) =>
    client.send('POST', '/api/v1/namespaces/lists/pods', samplePod('lists', `pod-${i}`)),
  );

  const gets = Math.round(20_000 * scale);
  const podPath = '/api/v1/namespaces/lists/pods/pod-7';
  const podBytes = await client.send('GET', podPath);
  await timed(500, 16, () => client.send('GET', podPath));
  const getMs = await timed(gets, 16, () => client.send('GET', podPath));
  rows.push({ what: `GET a pod of ${podBytes} bytes, 16 clients`, value: perSecond(gets, getMs) });

  const lists = Math.round(600 * scale);
  const listBytes = await client.send('GET', '/api/v1/namespaces/lists/pods?limit=500');
  const listMs = await timed(lists, 4, () => client.send('GET', '/api/v1/namespaces/lists/pods?limit=500'));
  rows.push({
    what: `LIST 500 pods (${megabytes(listBytes)}), 4 clients`,
    value: perSecond(lists, listMs),
    goal: '150/s',
  });

  const creates = Math.round(10_000 * scale);
  const configMap = (i: number): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `c-${i}` },
      data: { text: 'x'.repeat(512) },
    });
  await timed(500, 16, (i) =>
    client.send('POST', '/api/v1/namespaces/creates/configmaps', configMap(-1 - i)),
  );
  const createMs = await timed(creates, 16, (i) =>
    client.send('POST', '/api/v1/namespaces/creates/configmaps', configMap(i)),
  );
  rows.push({
    what: 'durable creates of a ConfigMap, 16 clients',
    value: perSecond(creates, createMs),
    goal: '2000/s',
  });

  rows.push(...(await fanOut()));

  const many = Math.round(10_000 * scale);
  const podsMs = await timed(many, 16, (i) =>
    client.send('POST', '/api/v1/namespaces/many/pods', samplePod('many', `pod-${i}`)),
  );
  rows.push({ what: 'durable creates of a 9 KB pod, 16 clients', value: perSecond(many, podsMs) });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  rows.push({
    what: `control plane, resident with ${many + 500} pods of 9 KB`,
    value: megabytes(residentBytes(pid)),
  });
  client.close();
} finally {
  await cluster.remove();
}
printTable('API over TLS, from another process', rows);

/** One event to 1,000 watchers: time from the write's answer to each watcher's line. */
async function fanOut(): Promise<Row[]> {
  const watchers = Math.round(1000 * Math.max(scale, 0.2));
  const rounds = 20;
  const client = new RawClient(cluster.kubeconfig, watchers + 8);
  const body = (n: number): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'event' },
      data: { n: String(n) },
    });
  await client.send('POST', '/api/v1/namespaces/default/configmaps', body(0));
  const delays: number[] = [];
  let sentMs = 0;
  let waiting = 0;
  let allSeen = Promise.withResolvers<void>();
  const streams = await Promise.all(
    Array.from({ length: watchers }, () =>
      client.open(
        'GET',
        '/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Devent&resourceVersion=0',
      ),
    ),
  );
  let initial = 0;
  const ready = Promise.withResolvers<void>();
  for (const stream of streams) {
    let first = true;
    stream.on('data', (chunk: Buffer) => {
      if (first) {
        first = false;
        if (++initial === watchers) ready.resolve();
        return;
      }
      if (!chunk.includes(10)) return;
      delays.push(performance.now() - sentMs);
      if (--waiting === 0) allSeen.resolve();
    });
    stream.on('error', () => {});
  }
  await ready.promise;
  for (let round = 1; round <= rounds; round++) {
    waiting = watchers;
    allSeen = Promise.withResolvers<void>();
    sentMs = performance.now();
    await client.send('PUT', '/api/v1/namespaces/default/configmaps/event', body(round));
    await allSeen.promise;
  }
  for (const stream of streams) stream.destroy();
  client.close();
  return [
    {
      what: `one event to ${watchers} watchers, p50 from the write's start`,
      value: `${quantile(delays, 0.5).toFixed(1)} ms`,
    },
    {
      what: `one event to ${watchers} watchers, p99`,
      value: `${quantile(delays, 0.99).toFixed(1)} ms`,
      goal: '< 60 ms',
    },
  ];
}
