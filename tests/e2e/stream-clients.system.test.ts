// Clients of exec, attach, port-forward and logs that are no kubectl, read slowly, or die: through API server and kubelet
// to real containers and back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Attach, Exec, KubeConfig, PortForward, type V1Status } from '@kubernetes/client-node';
import { WebSocket } from 'ws';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, type Kubectl, kubectls, TestCluster } from './cluster.ts';

const archive = builtImage('examples/web/images/back/image.yaml');
const image = 'cloudless.local/web-back:1';
const megabyte = 1024 * 1024;
isolate();
addUplink();

const pod = (name: string, script: string, more: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 1,
    hostNetwork: true,
    containers: [
      { name: 'main', image, imagePullPolicy: 'Never', command: ['sh', '-c', script], stdin: true, ...more },
    ],
  },
});
/** 64 MiB in lines of a kibibyte. */
const logBytes = 64 * megabyte;
const pods = [
  pod('shell', 'sleep 3600'),
  pod('reader', 'while read line; do echo got $line; done'),
  pod('flood', `yes ${'x'.repeat(1023)} | head -c ${logBytes}; sleep 3600`),
];

/** One stream by `v4.channel.k8s.io`: each message begins with the number of its channel. */
class V4 {
  readonly socket: WebSocket;
  readonly closed: Promise<unknown>;
  /** What has come by channel: 1 standard output, 2 standard error, 3 the status at the end. */
  readonly received: string[] = ['', '', '', ''];
  bytes = 0;

  constructor(url: string, tls: object) {
    this.socket = new WebSocket(url, ['v4.channel.k8s.io'], tls);
    this.closed = once(this.socket, 'close');
    this.socket.on('message', (data: Buffer) => {
      this.bytes += data.length - 1;
      if (data.length < 64 * 1024) this.received[data[0] as number] += data.toString('utf8', 1);
    });
  }

  send(channel: number, text: string): void {
    this.socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(text)]));
  }
}

describe('clients of streams', () => {
  const cluster = new TestCluster();
  const versions = kubectls();
  const byAge = versions.toSorted((a, b) => Number(a.version.slice(2)) - Number(b.version.slice(2)));
  const programs = [...new Set([byAge[0], byAge.at(-1)])].map((each) => each?.path ?? 'kubectl');
  let kubectl: Kubectl;
  let config: KubeConfig;
  let server: URL;
  let tls: { ca: string; cert: string; key: string };
  let processes: number[] = [];

  before(async () => {
    const kubeletConfig = `${cluster.root}/kubelet.yaml`;
    // Logs that are not rotated while a slow reader is at them.
    writeFileSync(
      kubeletConfig,
      'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncontainerLogMaxSize: 1Gi\n',
    );
    await cluster.up('--kubelet-config', kubeletConfig);
    await cluster.cloudless('image', 'load', archive);
    kubectl = cluster.kubectl(programs.at(-1));
    config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    const decoded = (data: string | undefined): string => Buffer.from(data ?? '', 'base64').toString();
    const [user, at] = [config.getCurrentUser(), config.getCurrentCluster()];
    tls = { ca: decoded(at?.caData), cert: decoded(user?.certData), key: decoded(user?.keyData) };
    server = new URL(at?.server ?? '');
    await kubectl.run(['create', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods }),
    });
    await kubectl.run(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s']);
    processes = [await cluster.pidOf('control-plane'), await cluster.pidOf('node-agent')];
  });
  after(() => cluster.remove());

  const pathOf = (name: string, subresource: string, query: Array<[string, string]>): string =>
    `/api/v1/namespaces/default/pods/${name}/${subresource}?${new URLSearchParams(query).toString()}`;
  const v4 = async (name: string, subresource: string, query: Array<[string, string]>): Promise<V4> => {
    const stream = new V4(`wss://${server.host}${pathOf(name, subresource, query)}`, tls);
    await once(stream.socket, 'open');
    assert.equal(stream.socket.protocol, 'v4.channel.k8s.io');
    return stream;
  };
  const command = (...words: string[]): Array<[string, string]> => words.map((word) => ['command', word]);
  const streams: Array<[string, string]> = ['stdin', 'stdout', 'stderr'].map((name) => [name, 'true']);

  /** Links of open files of the API server's and the kubelet's process. */
  const openFiles = (): string[] =>
    processes.flatMap((pid) =>
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
        } catch {
          return [];
        }
      }),
    );
  const sockets = (): number => openFiles().filter((link) => link.startsWith('socket:')).length;
  /** Resident bytes of both. */
  const residentBytes = (): number[] =>
    processes.map((pid) => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096);
  /** Fails when either process grows by more than so much while nobody reads. */
  const staysSmall = async (before: readonly number[]): Promise<void> => {
    for (let looks = 0; looks < 15; looks++) {
      const grown = residentBytes().map((now, i) => (now - (before[i] ?? 0)) / megabyte);
      assert.ok(
        Math.max(...grown) < 60,
        `API server and kubelet grew by ${grown.map(Math.round).join(', ')} MB`,
      );
      await delay(200);
    }
  };

  it('v4: exec carries input, both outputs and the exit code', async () => {
    const stream = await v4('shell', 'exec', [
      ...streams,
      ...command('sh', '-c', 'read x; echo got $x; echo oops >&2; exit 7'),
    ]);
    stream.send(0, 'hello\n');
    await stream.closed;
    assert.deepEqual(stream.received.slice(1, 3), ['got hello\n', 'oops\n']);
    const status = JSON.parse(stream.received[3] ?? '') as { reason: string; details: { causes: unknown } };
    assert.equal(status.reason, 'NonZeroExitCode');
    assert.deepEqual(status.details.causes, [{ reason: 'ExitCode', message: '7' }]);
  });

  it('v4: a terminal takes its size', async () => {
    const script = 'until [ "$(stty size 2>/dev/null)" = "17 91" ]; do sleep 0.1; done; tty';
    const stream = await v4('shell', 'exec', [
      ['stdin', 'true'],
      ['stdout', 'true'],
      ['tty', 'true'],
      ...command('sh', '-c', script),
    ]);
    stream.send(4, '{"Width":91,"Height":17}');
    await stream.closed;
    assert.match(stream.received[1] ?? '', /^\/dev\/pts\/\d+\r\n$/);
    assert.match(stream.received[3] ?? '', /"status":"Success"/);
  });

  it('v4: attach joins a container, and leaves it running', async () => {
    for (const word of ['one', 'two']) {
      const stream = await v4('reader', 'attach', streams);
      // The container's output comes from when it is joined, a moment after the connection opens.
      const say = setInterval(() => stream.send(0, `${word}\n`), 200);
      await eventually(`the answer to ${word}`, async () =>
        stream.received[1]?.includes(`got ${word}\n`),
      ).finally(() => clearInterval(say));
      stream.socket.close();
      await stream.closed;
    }
  });

  it('@kubernetes/client-node: Exec, Attach and PortForward', async () => {
    const text = async (stream: Readable): Promise<string> => {
      let all = '';
      for await (const chunk of stream) all += String(chunk);
      return all;
    };
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const ended = Promise.withResolvers<V1Status>();
    const script = 'cat; echo oops >&2; exit 3';
    await new Exec(config).exec(
      'default',
      'shell',
      'main',
      ['sh', '-c', script],
      stdout,
      stderr,
      stdin,
      false,
      ended.resolve,
    );
    // By v5, which it prefers, the end of its input is heard.
    stdin.end('x\n');
    assert.deepEqual(await Promise.all([text(stdout), text(stderr)]), ['x\n', 'oops\n']);
    assert.equal((await ended.promise).details?.causes?.[0]?.message, '3');

    const [words, heard] = [new PassThrough(), new PassThrough()];
    let output = '';
    heard.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const attached = await new Attach(config).attach('default', 'reader', 'main', heard, null, words, false);
    const say = setInterval(() => words.write('node\n'), 200);
    await eventually('the answer', async () => output.includes('got node\n')).finally(() =>
      clearInterval(say),
    );
    attached.close();

    const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const [there, back] = [new PassThrough(), new PassThrough()];
    const port = (echo.address() as AddressInfo).port;
    const forward = await new PortForward(config).portForward('default', 'shell', [port], back, null, there);
    there.write('over there');
    assert.equal(String((await once(back, 'data'))[0]), 'over there');
    (forward as unknown as WebSocket).close();
    echo.close();
  });

  it('what a killed client leaves: its command’s input ends, no socket stays', async () => {
    const before = sockets();
    const running = async (): Promise<number> =>
      (await kubectl.run(['exec', 'shell', '--', 'ps'])).split('\n').filter((line) => line.endsWith(' cat -'))
        .length;
    const viaKubectl = programs.flatMap((path) =>
      [1, 2].map(() => cluster.kubectl(path).start(['exec', '-i', 'shell', '--', 'cat', '-'])),
    );
    const direct = await Promise.all(
      [1, 2].map(() => v4('shell', 'exec', [...streams, ...command('cat', '-')])),
    );
    const count = viaKubectl.length + direct.length;
    await eventually(`${count} commands`, async () => (await running()) === count);
    for (const child of viaKubectl) child.kill('SIGKILL');
    for (const { socket } of direct) socket.terminate();
    await eventually('no command is left', async () => (await running()) === 0);
    await eventually(`no more than ${before} sockets`, async () => sockets() <= before);
  });

  it('slow readers of exec: little is kept for them, and nothing lost', async () => {
    const total = 96 * megabyte;
    const words = ['head', '-c', String(total), '/dev/zero'];
    const before = residentBytes();
    const children = programs.map((path) => cluster.kubectl(path).start(['exec', 'shell', '--', ...words]));
    for (const child of children) child.stdout?.pause();
    const direct = await v4('shell', 'exec', [['stdout', 'true'], ...command(...words)]);
    direct.socket.pause();
    await staysSmall(before);
    const counted = children.map(async ({ stdout }) => {
      let bytes = 0;
      for await (const chunk of stdout as AsyncIterable<Buffer>) bytes += chunk.length;
      return bytes;
    });
    direct.socket.resume();
    assert.deepEqual(
      await Promise.all(counted),
      children.map(() => total),
    );
    await direct.closed;
    const status = direct.received[3]?.length ?? 0;
    assert.equal(direct.bytes - status, total);
  });

  const log = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const path = pathOf('flood', 'log', [['follow', 'true']]);
      request({ host: server.hostname, port: server.port, path, agent: false, ...tls }, resolve)
        .once('error', reject)
        .end();
    });

  it('slow readers of a followed log: little is kept for them, nothing lost, and no file stays open', async () => {
    await eventually(
      'the whole log',
      async () => (await kubectl.run(['exec', 'flood', '--', 'ps'])).includes(' sleep 3600'),
      60_000,
    );
    const before = residentBytes();
    const slow = await Promise.all([log(), log(), log()]);
    await staysSmall(before);
    const [first, ...others] = slow as [IncomingMessage, ...IncomingMessage[]];
    // Some leave before they have read anything.
    for (const other of others) other.destroy();
    let bytes = 0;
    for await (const chunk of first as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes >= logBytes) break;
    }
    assert.equal(bytes, logBytes);
    await eventually(
      'the log is closed',
      async () => !openFiles().some((link) => /\/flood\/|\/main\/0\.log/.test(link)),
    );
  });
});
