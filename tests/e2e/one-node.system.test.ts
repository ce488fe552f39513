import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { join } from 'node:path';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, repository, TestCluster } from './cluster.ts';
import { listMachine, shimSocketsOf } from './machine-listing.ts';

const images = ['back', 'front'].map((name) => builtImage(`examples/web/images/${name}/image.yaml`));
isolate();
addUplink();

/** Requests per second of a client that opens a connection per request and never retries. */
const clientRate = 200;

describe('one node', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const marker = cluster.root;
  const before_ = listMachine(marker);
  const web = (...args: string[]): Promise<string> => kubectl.run(['-n', 'web', ...args]);
  const inPod = async (command: string): Promise<string> => {
    const pod = (
      await web('get', 'pods', '-l', 'app=back', '-o', 'jsonpath={.items[0].metadata.name}')
    ).trim();
    return web('exec', pod, '--', 'sh', '-c', command);
  };
  const restarts = (): Promise<string> =>
    web(
      'get',
      'pods',
      '-o',
      'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\\n"}{end}',
    );

  before(async () => {
    await cluster.up();
    await cluster.cloudless('image', 'load', ...images);
    await kubectl.run(['apply', '-f', join(repository, 'examples/web')]);
    await web('rollout', 'status', 'deployment/back', '--timeout=90s');
    await web('rollout', 'status', 'deployment/front', '--timeout=90s');
  });
  after(() => cluster.remove());

  it('a container reaches each Service by ClusterIP and by name', async () => {
    for (const service of ['back', 'front']) {
      const ip = (await web('get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}')).trim();
      for (const host of [ip, service, `${service}.web`, `${service}.web.svc.cluster.local`])
        assert.notEqual(await inPod(`wget -q -O - http://${host}/healthz`), '', `${host} from a pod`);
    }
    assert.match(
      await inPod('wget -q -O - http://front/api/cgi-bin/greet'),
      /Hello from out of the cloud\nsigned [0-9a-f]{16}\nby back-/,
    );
    assert.match(await inPod('cat /etc/resolv.conf'), /nameserver 10\.96\.0\.10/);
    assert.match(await inPod('nslookup kubernetes.default.svc.cluster.local'), /10\.96\.0\.1/);
  });

  it('a Service answers at its external address, its node port and its health check', async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'outside' },
      spec: {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        allocateLoadBalancerNodePorts: true,
        externalIPs: ['203.0.113.9'],
        selector: { app: 'back' },
        ports: [{ port: 80, targetPort: 'http' }],
      },
    };
    await kubectl.run(['-n', 'web', 'apply', '-f', '-'], { input: JSON.stringify(service) });
    const field = async (path: string): Promise<string> =>
      (await web('get', 'service', 'outside', '-o', `jsonpath={${path}}`)).trim();
    const [nodePort, healthPort] = [
      await field('.spec.ports[0].nodePort'),
      await field('.spec.healthCheckNodePort'),
    ];
    const nodeIp = (
      await kubectl.run(['get', 'nodes', '-o', 'jsonpath={.items[0].status.addresses[0].address}'])
    ).trim();
    const fetched = (url: string): string =>
      execFileSync('curl', ['-s', '-m', '5', url], { encoding: 'utf8' });
    await eventually('endpoints', async () => {
      const answer = fetched(`http://${nodeIp}:${healthPort}/`);
      return /"name": "outside"[^]*"localEndpoints": [1-9]/.test(answer);
    });
    assert.equal(fetched('http://203.0.113.9/healthz'), 'ok\n');
    assert.equal(fetched(`http://${nodeIp}:${nodePort}/healthz`), 'ok\n');
    assert.equal(await inPod('wget -q -O - http://203.0.113.9/healthz'), 'ok\n');
    await web('delete', 'service', 'outside');
  });

  it('a rolling update under 200 requests/s loses no request', async () => {
    const ip = (await web('get', 'service', 'back', '-o', 'jsonpath={.spec.clusterIP}')).trim();
    const load = startLoad(`http://${ip}/healthz`, clientRate);
    await eventually('the load runs', async () => load.sent() > clientRate / 2);
    await web('set', 'env', 'deployment/back', 'GENERATION=2');
    await web('rollout', 'status', 'deployment/back', '--timeout=120s');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const result = await load.end();
    assert.deepEqual(result.failures, []);
    assert.ok(result.sent > clientRate * 3, `only ${result.sent} requests were sent`);
  });

  it('kill -9 of the control plane: pods serve, names resolve, every object is there again', async () => {
    const pid = await cluster.pidOf('control-plane');
    const ip = (await web('get', 'service', 'back', '-o', 'jsonpath={.spec.clusterIP}')).trim();
    const objects = await kubectl.run(['get', 'all,configmaps,secrets', '-A', '-o', 'name']);
    const runs = await restarts();
    process.kill(pid, 'SIGKILL');
    assert.equal(
      execFileSync('curl', ['-s', '-m', '5', `http://${ip}/healthz`], { encoding: 'utf8' }),
      'ok\n',
    );
    assert.equal(
      execFileSync('dig', ['+short', '@10.96.0.10', 'back.web.svc.cluster.local'], {
        encoding: 'utf8',
      }).trim(),
      ip,
    );
    assert.equal(
      await eventually('the API is back', () =>
        kubectl.run(['get', 'all,configmaps,secrets', '-A', '-o', 'name']),
      ),
      objects,
    );
    assert.equal(await restarts(), runs);
  });

  for (const name of ['node-agent', 'dns'] as const)
    it(`kill -9 of the ${name}: nothing that runs notices`, async () => {
      const pid = await cluster.pidOf(name);
      const ip = (await web('get', 'service', 'back', '-o', 'jsonpath={.spec.clusterIP}')).trim();
      const runs = await restarts();
      process.kill(pid, 'SIGKILL');
      assert.equal(
        execFileSync('curl', ['-s', '-m', '5', `http://${ip}/healthz`], { encoding: 'utf8' }),
        'ok\n',
      );
      await eventually(`${name} is ready again`, async () => {
        const status = JSON.parse(await cluster.status()) as {
          supervisor: { children: Array<{ name: string; pid: number; state: string }> };
        };
        const child = status.supervisor.children.find((candidate) => candidate.name === name);
        return child?.state === 'ready' && child.pid !== pid;
      });
      assert.equal(await restarts(), runs);
      assert.match(await inPod('wget -q -O - http://front/api/cgi-bin/greet'), /Hello/);
    });

  it('kill -9 of containerd: pods go on, and are adopted', async () => {
    const pid = Number(
      // No shell between: its own command line would match too.
      execFileSync('pgrep', ['-f', '--', `containerd --config ${cluster.root}/`], { encoding: 'utf8' })
        .trim()
        .split('\n')[0],
    );
    const ip = (await web('get', 'service', 'back', '-o', 'jsonpath={.spec.clusterIP}')).trim();
    const runs = await restarts();
    process.kill(pid, 'SIGKILL');
    assert.equal(
      execFileSync('curl', ['-s', '-m', '5', `http://${ip}/healthz`], { encoding: 'utf8' }),
      'ok\n',
    );
    await eventually('exec works again', () => inPod('true').then(() => true));
    await eventually(
      'the node is Ready',
      async () =>
        (await kubectl.run([
          'get',
          'node',
          'node-1',
          '-o',
          'jsonpath={.status.conditions[?(@.type=="Ready")].status}',
        ])) === 'True',
    );
    assert.equal(await restarts(), runs);
  });

  it('down leaves no process, mount, interface, nft rule, route, cgroup or socket behind', async () => {
    const sockets = shimSocketsOf(cluster.root);
    assert.ok(
      sockets.length >= 4 && sockets.every((path) => existsSync(path)),
      `sockets of the pods: ${sockets.join(' ')}`,
    );
    await cluster.cloudless('down');
    assert.deepEqual(listMachine(marker), before_);
    assert.deepEqual(
      sockets.filter((path) => existsSync(path)),
      [],
    );
  });

  it('up again on the same state: every object is there, and pods start', async () => {
    await cluster.up();
    await web('rollout', 'status', 'deployment/back', '--timeout=90s');
    assert.match(
      await eventually('the pods answer', () => inPod('wget -q -O - http://front/api/cgi-bin/greet')),
      /Hello/,
    );
    await cluster.cloudless('down');
    assert.deepEqual(listMachine(marker), before_);
  });
});

interface Load {
  sent(): number;
  end(): Promise<{ sent: number; failures: string[] }>;
}

/** A process of its own, so that the test's own work does not slow it. */
function startLoad(url: string, perSecond: number): Load {
  const script = `
    const http = require('node:http');
    let sent = 0; const failures = []; let open = 0; let ending = false;
    const one = () => {
      sent++; open++;
      const done = (failure) => { open--; if (failure) failures.push(failure); if (ending && open === 0) finish(); };
      const request = http.get(${JSON.stringify(url)}, { agent: false, timeout: 5000 }, (response) => {
        response.resume();
        response.on('end', () => done(response.statusCode === 200 ? undefined : 'status ' + response.statusCode));
        response.on('error', (error) => done(error.message));
      });
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', (error) => done(error.code || error.message));
    };
    const timer = setInterval(one, ${1000 / perSecond});
    const progress = setInterval(() => process.send({ sent }), 50);
    const finish = () => process.send({ sent, failures }, () => process.disconnect());
    process.on('message', () => { clearInterval(timer); clearInterval(progress); ending = true; if (open === 0) finish(); });
  `;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let sent = 0;
  const result = Promise.withResolvers<{ sent: number; failures: string[] }>();
  child.on('message', (message: { sent: number; failures?: string[] }) => {
    sent = message.sent;
    if (message.failures) result.resolve({ sent, failures: message.failures });
  });
  child.once('exit', (code) => result.reject(new Error(`the load ended with ${code}`)));
  return {
    sent: () => sent,
    end() {
      child.send('end');
      return result.promise;
    },
  };
}
