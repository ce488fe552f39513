import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { nodeContext } from '@cloudless/kube/node/context';
import { installPlugins } from './install.ts';
import { CniError, type CniRequest, parseRequest } from './request.ts';
import { startCniServer } from './server.ts';

const silent = { error: () => {}, warn: () => {} } as unknown as Logger;
const environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0',
};
const config = { cniVersion: '1.0.0', name: 'cloudless', type: 'cloudless' };
const request = (more: object = {}, configMore: object = {}): string =>
  JSON.stringify({
    environment: { ...environment, ...more },
    config: JSON.stringify({ ...config, ...configMore }),
  });
const ports = (mapping: object): object => ({ runtimeConfig: { portMappings: [mapping] } });

describe('requests of the CNI plugin', () => {
  it('are read with the pod’s name and its host ports', () => {
    const mapping = { hostPort: 80, containerPort: 8080, protocol: 'TCP', hostIP: '192.0.2.1' };
    const parsed = parseRequest(
      request({}, { runtimeConfig: { portMappings: [mapping, { ...mapping, hostPort: 0 }] } }),
    );
    assert.deepEqual(parsed, {
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/x',
      ifName: 'eth0',
      pod: 'shop/web-0',
      cniVersion: '1.0.0',
      hostPorts: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIp: '192.0.2.1' }],
    } satisfies CniRequest);
  });

  it('every address may be written in three ways', () => {
    for (const hostIP of ['', '0.0.0.0', '::'])
      assert.equal(
        parseRequest(request({}, ports({ hostPort: 80, containerPort: 80, protocol: 'udp', hostIP })))
          .hostPorts[0]?.hostIp,
        '',
      );
  });

  it('DEL needs neither namespace nor valid ports', () => {
    const parsed = parseRequest(request({ CNI_COMMAND: 'DEL', CNI_NETNS: '' }, ports({ hostPort: 'x' })));
    assert.deepEqual([parsed.netns, parsed.hostPorts], ['', []]);
  });

  for (const [sentence, text, code, message] of [
    ['no JSON', 'hello', 6, /is not what the cloudless CNI plugin sends/],
    ['nothing at all', '', 6, /is not what/],
    ['no environment', '{"config": "{}"}', 6, /is not what/],
    ['null', 'null', 6, /is not what/],
    ['an unknown command', request({ CNI_COMMAND: 'GC' }), 4, /^CNI_COMMAND="GC" is not valid$/],
    ['no container', request({ CNI_CONTAINERID: '' }), 4, /^CNI_CONTAINERID=""/],
    ['a container id that is a path', request({ CNI_CONTAINERID: '../x' }), 4, /^CNI_CONTAINERID/],
    ['ADD without a namespace', request({ CNI_NETNS: '' }), 4, /^CNI_NETNS/],
    ['a namespace with a second command', request({ CNI_NETNS: '/x\nlink del eth0' }), 4, /^CNI_NETNS/],
    ['an interface name that is too long', request({ CNI_IFNAME: 'e'.repeat(16) }), 4, /^CNI_IFNAME/],
    ['a configuration that is no JSON', JSON.stringify({ environment, config: '{' }), 6, /is not JSON/],
    ['a configuration that is no object', JSON.stringify({ environment, config: '3' }), 6, /is no object/],
    [
      'a port that is none',
      request({}, ports({ hostPort: 70000, containerPort: 1 })),
      7,
      /\[0\]\.hostPort: 70000/,
    ],
    ['no container port', request({}, ports({ hostPort: 80 })), 7, /\[0\]\.containerPort: 0 is no port/],
    [
      'a protocol with a second command',
      request({}, ports({ hostPort: 80, containerPort: 80, protocol: 'tcp }' })),
      7,
      /\[0\]\.protocol: "tcp }": expected tcp, udp or sctp/,
    ],
    [
      'a host port on an IPv6 address',
      request({}, ports({ hostPort: 80, containerPort: 80, hostIP: 'fd00::1' })),
      7,
      /"fd00::1": pods have IPv4 addresses only/,
    ],
    [
      'port mappings that are no list',
      request({}, { runtimeConfig: { portMappings: {} } }),
      7,
      /expected a list/,
    ],
  ] as const)
    it(`with ${sentence} are refused with code ${code}`, () =>
      assert.throws(
        () => parseRequest(text),
        (error) => error instanceof CniError && error.code === code && message.test(error.message),
      ));
});

describe('the CNI server and plugin, as containerd calls it', () => {
  const root = mkdtempSync(join(tmpdir(), 'cloudless-cni-'));
  const context = nodeContext({ root, nodeName: 'n1' });
  const { cniBin, cniSocket } = context.paths;
  const calls: string[] = [];
  const gates = new Map<string, Promise<void>>();
  let server: Running;
  const start = async (): Promise<void> => {
    server = await startCniServer({
      socketPath: cniSocket,
      log: silent,
      async handle({ command, containerId }) {
        calls.push(`${command} ${containerId} begins`);
        await gates.get(`${command} ${containerId}`);
        calls.push(`${command} ${containerId} ends`);
        if (containerId === 'broken') throw new CniError(102, 'host port 80/tcp is taken');
        return command === 'ADD' ? { cniVersion: '1.0.0', ips: [] } : undefined;
      },
    });
  };
  const plugin = (
    env: Record<string, string>,
    stdin = JSON.stringify(config),
  ): Promise<{ code: number; output: string }> =>
    new Promise((resolve) => {
      const child = execFile(
        join(cniBin, 'cloudless'),
        { env: { PATH: process.env['PATH'], ...environment, ...env } },
        (error, stdout) => resolve({ code: error ? Number(error.code) : 0, output: stdout }),
      );
      child.stdin?.end(stdin);
    });
  before(async () => {
    installPlugins(context);
    await start();
  });
  after(async () => {
    await server.stop();
    rmSync(root, { recursive: true });
  });

  it('VERSION needs no agent', async () => {
    const { code, output } = await plugin({ CNI_COMMAND: 'VERSION' });
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(output), {
      cniVersion: '1.0.0',
      supportedVersions: ['0.3.1', '0.4.0', '1.0.0'],
    });
  });

  it('ADD prints the result, DEL nothing', async () => {
    assert.deepEqual(await plugin({}), { code: 0, output: '{"cniVersion":"1.0.0","ips":[]}' });
    assert.deepEqual(await plugin({ CNI_COMMAND: 'DEL', CNI_NETNS: '' }), { code: 0, output: '' });
  });

  it('a refusal has its code and sentence, and exit code 1', async () => {
    const { code, output } = await plugin({ CNI_CONTAINERID: 'broken' });
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(output), {
      cniVersion: '1.0.0',
      code: 102,
      msg: 'host port 80/tcp is taken',
    });
    const malformed = await plugin({}, 'no json');
    assert.equal((JSON.parse(malformed.output) as { code: number }).code, 6);
  });

  it('calls for one container run one after another, for others at the same time', async () => {
    calls.length = 0;
    const gate = Promise.withResolvers<void>();
    gates.set('ADD slow', gate.promise);
    const add = plugin({ CNI_CONTAINERID: 'slow' });
    while (!calls.includes('ADD slow begins')) await new Promise((resolve) => setTimeout(resolve, 5));
    const remove = plugin({ CNI_CONTAINERID: 'slow', CNI_COMMAND: 'DEL' });
    await plugin({ CNI_CONTAINERID: 'other' });
    gate.resolve();
    await Promise.all([add, remove]);
    assert.deepEqual(calls, [
      'ADD slow begins',
      'ADD other begins',
      'ADD other ends',
      'ADD slow ends',
      'DEL slow begins',
      'DEL slow ends',
    ]);
  });

  it('only root can connect', () => assert.equal(statSync(cniSocket).mode & 0o777, 0o600));

  it('a connection that says nothing does not keep it from stopping, and who waits gets an answer', async () => {
    const idle = connect(cniSocket);
    idle.on('error', () => {});
    await new Promise((resolve) => idle.once('connect', resolve));
    const gate = Promise.withResolvers<void>();
    gates.set('ADD late', gate.promise);
    const late = plugin({ CNI_CONTAINERID: 'late' });
    while (!calls.includes('ADD late begins')) await new Promise((resolve) => setTimeout(resolve, 5));
    const stopped = server.stop();
    gate.resolve();
    assert.equal((await late).code, 0);
    await stopped;
    assert.equal(existsSync(cniSocket), false);
  });

  it('with the agent down the runtime is told to try again later (code 11)', async () => {
    const { code, output } = await plugin({});
    assert.equal(code, 1);
    const reply = JSON.parse(output) as { code: number; msg: string };
    assert.equal(reply.code, 11);
    assert.match(reply.msg, /agent does not answer at .*cni\.sock: is the node agent running\?/);
  });

  it('so it is with an agent that dies in the middle of its answer', async () => {
    const dying = createServer((socket) => socket.once('data', () => socket.end('{"exit')));
    await new Promise<void>((resolve) => dying.listen(cniSocket, resolve));
    const { code, output } = await plugin({});
    await new Promise((resolve) => dying.close(resolve));
    assert.equal(code, 1);
    assert.equal((JSON.parse(output) as { code: number }).code, 11);
    await start();
  });

  it('the plugin is placed without its types, once', () => {
    const script = join(root, 'var/lib/cloudless/cni/plugin.mjs');
    assert.doesNotMatch(readFileSync(script, 'utf8'), /: string|interface /);
    const { ino } = statSync(script);
    installPlugins(context);
    assert.equal(statSync(script).ino, ino);
  });
});
