import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { SubjectAccessReview } from '@cloudless/kube/types/authorization-v1';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { passUpgrade } from '@cloudless/kube/streaming/upgrade';
import {
  isWebSocket,
  offersProtocol,
  portForwardTunnel,
  remoteCommandStreams,
  translatePortForward,
  translateRemoteCommand,
  webSocketV5,
} from '@cloudless/kube/streaming/remote-command';
import { startTestNode, type TestNode, until } from '../testing/node.ts';
import { fixedCertificate } from './certificate.ts';
import { type KubeletServer, startKubeletServer } from './server.ts';

const versions = ['1.27', '1.28', '1.29', '1.30', '1.31', '1.32', '1.33'];
const candidates = [
  ...versions.flatMap((version) => [
    `/usr/lib/google-cloud-sdk/bin/kubectl.${version}`,
    `/usr/bin/kubectl.${version}`,
  ]),
  '/usr/bin/kubectl',
];
const kubectls = candidates.filter((path) => existsSync(path));

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(program: string, args: string[], input: string | undefined, timeoutMs = 20_000): Promise<Ran> {
  const child = spawn(program, args, { stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  const out: Ran = { code: null, stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => (out.stdout += String(chunk)));
  child.stderr?.on('data', (chunk: Buffer) => (out.stderr += String(chunk)));
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  return new Promise((resolve) =>
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ ...out, code });
    }),
  );
}

/**
 * As much of an API server as `kubectl exec`, `attach`, `port-forward` and `logs` need, in front of the kubelet: it
 * passes streams on as the real one does, with the client certificate that the kubelet asks for.
 */
function fakeApi(
  kubelet: () => { port: number },
  tls: { cert: string; key: string },
  pods: () => Pod[],
  upgrades: string[],
): Server {
  const json = { 'content-type': 'application/json' };
  const podPath = /^\/api\/v1\/namespaces\/default\/pods\/([^/]+)(?:\/(\w+))?$/;
  const options = { ...tls, rejectUnauthorized: false };
  const kubeletUrl = (url: URL): URL | undefined => {
    const [, name, sub]: string[] = podPath.exec(url.pathname) ?? [];
    if (name === undefined) return undefined;
    const query = url.searchParams;
    const names: Record<string, string> = {
      stdin: 'input',
      stdout: 'output',
      stderr: 'error',
      ports: 'port',
    };
    const to = new URLSearchParams(
      [...query].map(([key, value]) => [names[key] ?? key, value === 'true' ? '1' : value]),
    );
    const base = `https://127.0.0.1:${kubelet().port}`;
    const container = query.get('container') ?? 'main';
    if (sub === 'log') return new URL(`${base}/containerLogs/default/${name}/${container}?${to.toString()}`);
    if (sub === 'portforward') return new URL(`${base}/portForward/default/${name}?${to.toString()}`);
    return sub === undefined
      ? undefined
      : new URL(`${base}/${sub}/default/${name}/${container}?${to.toString()}`);
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://api');
    const answer = (body: object): void => void response.writeHead(200, json).end(JSON.stringify(body));
    const to = kubeletUrl(url);
    if (to) {
      httpsRequest(to, options, (log) => {
        response.writeHead(log.statusCode ?? 500, log.headers);
        log.pipe(response);
        response.once('close', () => log.destroy());
      }).end();
    } else if (url.pathname === '/api') answer({ kind: 'APIVersions', versions: ['v1'] });
    else if (url.pathname === '/apis') answer({ kind: 'APIGroupList', apiVersion: 'v1', groups: [] });
    else if (url.pathname === '/api/v1') {
      const resources = [
        { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get', 'list'] },
      ];
      answer({ kind: 'APIResourceList', groupVersion: 'v1', resources });
    } else if (url.pathname === '/version') answer({ major: '1', minor: '33', gitVersion: 'v1.33.0' });
    else {
      const pod = pods().find((each) => each.metadata.name === podPath.exec(url.pathname)?.[1]);
      if (pod) answer({ kind: 'Pod', apiVersion: 'v1', ...pod });
      else
        response
          .writeHead(404, json)
          .end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404 }));
    }
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    const to = kubeletUrl(new URL(incoming.url ?? '/', 'http://api'));
    if (!to) {
      socket.destroy();
      return;
    }
    upgrades.push(incoming.headers['sec-websocket-protocol'] ?? incoming.headers.upgrade ?? '');
    const call = { incoming, socket, head, target: { url: to, tls: options, connectTimeoutMs: 5_000 } };
    const streams = remoteCommandStreams(to.searchParams);
    const done =
      isWebSocket(incoming) && offersProtocol(incoming, webSocketV5)
        ? translateRemoteCommand({ ...call, streams })
        : isWebSocket(incoming) && offersProtocol(incoming, portForwardTunnel)
          ? translatePortForward(call)
          : passUpgrade(call);
    done.catch((error: unknown) =>
      socket.end(`HTTP/1.1 500 Error\r\ncontent-length: 0\r\nx-error: ${String(error)}\r\n\r\n`),
    );
  });
  return server;
}

/** Allows the user `localhost`, which the test's client certificate names, everything; token `good` is reader. */
const reviews = {
  async create(resource: { plural: string }, object: SubjectAccessReview & { spec: { token?: string } }) {
    if (resource.plural === 'tokenreviews') {
      const good = object.spec.token === 'good';
      return {
        ...object,
        status: { authenticated: good, ...(good ? { user: { username: 'reader', groups: [] } } : {}) },
      };
    }
    const { user, resourceAttributes } = object.spec;
    const allowed = user === 'localhost' || (user === 'reader' && resourceAttributes?.verb === 'get');
    return { ...object, status: { allowed } };
  },
} as unknown as KubeClient;

describe("the kubelet's API", () => {
  let node: TestNode;
  let kubelet: KubeletServer;
  let api: Server;
  let pair: { cert: string; key: string };
  const pods: Pod[] = [];
  let server = '';
  const upgrades: string[] = [];

  const addPod = async (
    name: string,
    command: string[],
    options: { stdin?: boolean } = {},
  ): Promise<string> => {
    const { containerId, uid } = await node.runPod({ name, command, ...options });
    pods.push({
      metadata: { name, namespace: 'default', uid },
      spec: {
        nodeName: 'srv',
        containers: [{ name: 'main', image: 'test', ...(options.stdin ? { stdin: true } : {}) }],
      },
      status: {
        phase: 'Running',
        containerStatuses: [
          {
            name: 'main',
            image: 'test',
            imageID: '',
            ready: true,
            restartCount: 0,
            containerID: `containerd://${containerId}`,
            state: { running: {} },
          },
        ],
      },
    });
    return containerId;
  };
  const kubectl = (program: string, args: string[], input?: string): Promise<Ran> =>
    run(program, ['--server', server, '--namespace', 'default', '--kubeconfig', '/dev/null', ...args], input);

  before(async () => {
    node = await startTestNode('srv');
    pair = await selfSigned('localhost');
    kubelet = await startKubeletServer({
      nodeName: 'srv',
      address: '127.0.0.1',
      port: 0,
      healthzPort: 0,
      certificate: fixedCertificate(pair),
      clientCa: pair.cert,
      client: reviews,
      cri: node.cri,
      pods: {
        list: () => pods,
        find: (namespace, name) =>
          pods.find((pod) => pod.metadata.namespace === namespace && pod.metadata.name === name),
      },
      statsFolder: node.context.root,
      log: node.log,
    });
    api = fakeApi(
      () => kubelet,
      pair,
      () => pods,
      upgrades,
    );
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    server = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    await addPod('shell', ['sleep', '1000']);
  });
  after(async () => {
    api?.closeAllConnections();
    api?.close();
    await kubelet?.stop();
    await node?.dispose();
  });

  it('there is a kubectl to test with', () => {
    assert.notEqual(kubectls.length, 0, `none of ${candidates.join(' ')}`);
  });

  for (const program of kubectls) {
    describe(program, () => {
      before(() => {
        upgrades.length = 0;
      });
      it('exec -i ends when standard input is closed', async () => {
        const { code, stdout, stderr } = await kubectl(program, ['exec', '-i', 'shell', '--', 'cat'], 'x\n');
        assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'x\n', stderr: '' });
      });

      it('exec carries a large input and output whole', async () => {
        const input = 'abcdefghij'.repeat(300_000);
        const { code, stdout } = await kubectl(program, ['exec', '-i', 'shell', '--', 'cat'], input);
        assert.equal(code, 0);
        assert.equal(stdout.length, input.length);
        assert.ok(stdout === input);
      });

      it('exec keeps standard error apart and gives the exit code', async () => {
        const ran = await kubectl(program, [
          'exec',
          'shell',
          '--',
          'sh',
          '-c',
          'echo out; echo err >&2; exit 7',
        ]);
        assert.equal(ran.stdout, 'out\n');
        assert.match(ran.stderr, /^err\n/);
        assert.match(ran.stderr, /exit code 7/);
        assert.equal(ran.code, 7);
      });

      it('speaks what its version speaks', () => {
        const minor = Number(/kubectl\.1\.(\d+)$/.exec(program)?.[1] ?? NaN);
        if (minor >= 31)
          assert.ok(
            upgrades.every((each) => each === webSocketV5),
            upgrades.join(' '),
          );
        if (minor <= 28)
          assert.ok(
            upgrades.every((each) => each === 'SPDY/3.1'),
            upgrades.join(' '),
          );
        assert.notEqual(upgrades.length, 0);
      });

      it('exec -it gives a terminal of the right size', async () => {
        const words = `stty cols 91 rows 17; ${program} --server ${server} --namespace default --kubeconfig /dev/null exec -it shell -- sh -c 'sleep 0.3; stty size; tty'`;
        // script(1) gives kubectl a terminal of its own.
        const { stdout } = await run('script', ['-qefc', words, '/dev/null'], '');
        assert.match(stdout, /17 91\r\n\/dev\/pts\/\d+\r\n/);
      });

      it('attach -i joins a container and ends its standard input', async () => {
        const name = `reader-${kubectls.indexOf(program)}`;
        await addPod(name, ['sh', '-c', 'while read line; do echo got $line; done; echo end'], {
          stdin: true,
        });
        const { stdout, code } = await kubectl(program, ['attach', '-i', name], 'one\ntwo\n');
        assert.equal(stdout, 'got one\ngot two\nend\n');
        assert.equal(code, 0);
      });

      it('port-forward carries a connection', async () => {
        const echo = createTcpServer((socket) => socket.pipe(socket));
        await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
        const port = (echo.address() as AddressInfo).port;
        const child = spawn(
          program,
          [
            '--server',
            server,
            '--kubeconfig',
            '/dev/null',
            '-n',
            'default',
            'port-forward',
            'shell',
            `:${port}`,
          ],
          { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        let output = '';
        for (const stream of [child.stdout, child.stderr])
          stream.on('data', (chunk: Buffer) => (output += String(chunk)));
        try {
          const local = await until('a local port', () => /127\.0\.0\.1:(\d+) ->/.exec(output)?.[1], 15_000);
          const socket = connect(Number(local), '127.0.0.1');
          const got = await new Promise<string>((resolve, reject) => {
            let text = '';
            socket.on('data', (chunk: Buffer) => {
              text += String(chunk);
              if (text.length >= 'hello over there'.length) resolve(text);
            });
            socket.on('error', reject);
            socket.on('close', () => reject(new Error(`closed: ${output}`)));
            socket.write('hello over there');
          });
          assert.equal(got, 'hello over there');
          socket.destroy();
        } finally {
          child.kill('SIGKILL');
          echo.close();
        }
      });
    });
  }

  it('logs: all, tail, timestamps, limit, previous, follow to the end', async () => {
    const program = kubectls.at(-1) as string;
    const containerId = await addPod('talker', [
      'sh',
      '-c',
      'for i in 1 2 3 4; do echo line $i; done; sleep 2; echo last',
    ]);
    await until('four lines', async () =>
      (await kubectl(program, ['logs', 'talker'])).stdout.includes('line 4') ? true : undefined,
    );
    assert.equal((await kubectl(program, ['logs', 'talker', '--tail=2'])).stdout.split('\n')[0], 'line 3');
    assert.match(
      (await kubectl(program, ['logs', 'talker', '--tail=1', '--timestamps'])).stdout,
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) /,
    );
    assert.equal((await kubectl(program, ['logs', 'talker', '--limit-bytes=8'])).stdout, 'line 1\nl');
    assert.deepEqual(await get('/containerLogs/default/talker/main?previous=true', { certificate: true }), {
      status: 400,
      body: 'previous terminated container "main" in pod "talker" not found',
    });
    assert.equal(
      (await get('/containerLogs/default/talker/main?tailLines=-1', { certificate: true })).status,
      422,
    );
    const followed = await kubectl(program, ['logs', '-f', 'talker']);
    assert.equal(followed.stdout, 'line 1\nline 2\nline 3\nline 4\nlast\n');
    assert.equal(followed.code, 0);
    assert.ok(containerId);
  });

  const get = (
    path: string,
    options: { token?: string; certificate?: boolean; method?: string },
  ): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const request = httpsRequest(
        {
          host: '127.0.0.1',
          port: kubelet.port,
          path,
          method: options.method ?? 'GET',
          rejectUnauthorized: false,
          agent: false,
          headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
          ...(options.certificate ? pair : {}),
        },
        (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += String(chunk)));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        },
      );
      request.on('error', reject);
      request.end();
    });

  it('lets nobody in without a right', async () => {
    assert.deepEqual(await get('/pods', {}), { status: 401, body: 'Unauthorized' });
    assert.equal((await get('/pods', { token: 'bad' })).status, 401);
    assert.equal((await get('/pods', { token: 'good' })).status, 200);
    const denied = await get('/run/default/shell/main?cmd=id', { token: 'good', method: 'POST' });
    assert.equal(denied.status, 403);
    assert.match(
      denied.body,
      /^Forbidden \(user=reader, verb=create, resource=nodes, subresource\(s\)=\[proxy\]\)/,
    );
    // A WebSocket to exec is a GET; reading rights do not open it.
    assert.equal((await get('/exec/default/shell/main?command=id&output=1', { token: 'good' })).status, 403);
  });

  it('shows pods, statistics and metrics', async () => {
    const list = JSON.parse((await get('/pods', { certificate: true })).body) as {
      kind: string;
      items: Pod[];
    };
    assert.equal(list.kind, 'PodList');
    assert.ok(list.items.some((pod) => pod.metadata.name === 'shell'));
    const live = JSON.parse((await get('/runningpods/', { certificate: true })).body) as { items: Pod[] };
    assert.ok(live.items.some((pod) => pod.metadata.name === 'shell'));
    const summary = JSON.parse((await get('/stats/summary', { certificate: true })).body) as {
      node: { memory: { workingSetBytes: number } };
      pods: Array<{ podRef: { name: string }; memory: { workingSetBytes: number } }>;
    };
    assert.ok(summary.node.memory.workingSetBytes > 0);
    assert.ok((summary.pods.find((pod) => pod.podRef.name === 'shell')?.memory.workingSetBytes ?? 0) > 0);
    const metrics = await get('/metrics/resource', { certificate: true });
    assert.match(
      metrics.body,
      /^container_memory_working_set_bytes\{container="main",namespace="default",pod="shell"\} \d+ \d+$/m,
    );
    assert.match(metrics.body, /^resource_scrape_error 0$/m);
    const ran = await get('/run/default/shell/main?cmd=echo%20hi', { certificate: true, method: 'POST' });
    assert.deepEqual(ran, { status: 200, body: 'hi\n' });
    assert.equal((await get('/nothing', { certificate: true })).status, 404);
    assert.equal(
      (await get('/containerLogs/default/absent/main', { certificate: true })).body,
      'pod "absent" does not exist',
    );
  });
});
