import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import {
  addUplink,
  builtImage,
  eventually,
  type Kubectl,
  kubectls,
  repository,
  TestCluster,
} from './cluster.ts';

const images = ['back', 'front'].map((name) => builtImage(`examples/web/images/${name}/image.yaml`));
const versions = kubectls();
isolate();
addUplink();

const image = 'cloudless.local/web-back:1';

describe('a kubectl session', () => {
  const cluster = new TestCluster();
  before(async () => {
    await cluster.up();
    await cluster.cloudless('image', 'load', ...images);
  });
  after(() => cluster.remove());

  it('has kubectl programs to test with', () => {
    assert.ok(versions.length > 0, 'no kubectl was found: scripts/setup --test installs Debian’s');
  });

  for (const { version, path } of versions)
    describe(`kubectl ${version}`, () => {
      const kubectl = cluster.kubectl(path);
      const ns = `session-${version.replace('.', '-')}`;
      const k = (line: string, options?: Parameters<Kubectl['run']>[1]): Promise<string> =>
        kubectl.run([...line.split(' '), '-n', ns], options);

      before(() => kubectl.run(['create', 'namespace', ns]));
      after(() => kubectl.run(['delete', 'namespace', ns, '--wait=false']));

      it('apply -f examples/web, again without a change, and rollout status', async () => {
        await kubectl.run(['apply', '-f', join(repository, 'examples/web')]);
        const again = await kubectl.run(['apply', '-f', join(repository, 'examples/web')]);
        assert.match(again, /deployment.apps\/back unchanged/);
        assert.match(
          await kubectl.run(['rollout', 'status', 'deployment/back', '-n', 'web', '--timeout=90s']),
          /successfully rolled out/,
        );
        await kubectl.run(['rollout', 'status', 'deployment/front', '-n', 'web', '--timeout=90s']);
      });

      it('create deployment, configmap, service; get in all outputs', async () => {
        await k(`create deployment d --image=${image} --replicas=2`);
        await k('create configmap c --from-literal=a=1 --from-literal=b=2');
        await k('expose deployment d --port=80 --target-port=8080');
        await k('rollout status deployment/d --timeout=60s');
        assert.match(
          await k('get deployment d'),
          /NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\nd\s+2\/2\s+2\s+2/,
        );
        assert.match(await k('get pods -o wide'), /NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\s+IP\s+NODE/);
        assert.equal(JSON.parse(await k('get configmap c -o json')).data.b, '2');
        assert.match(await k('get configmap c -o yaml'), /^ {2}a: "1"$/m);
        assert.match(await k('get pods -o name'), /^pod\/d-/);
        assert.equal(await k('get deployment d -o jsonpath={.spec.replicas}'), '2');
        assert.match(
          await k('get deployment d -o custom-columns=N:.metadata.name,R:.spec.replicas'),
          /d\s+2/,
        );
        assert.equal(await k('get deployment d -o go-template={{.metadata.name}}'), 'd');
        assert.match(await k('get all'), /replicaset.apps\/d-/);
        assert.match(await k('get pods --show-labels -l app=d'), /app=d/);
        assert.match(await k('get pods --field-selector=status.phase=Running'), /Running/);
        assert.match(await k('get events'), /Scheduled|Created|SuccessfulCreate/);
      });

      it('get -w shows changes as they come', async () => {
        const watch = kubectl.start(['get', 'deployment', 'd', '-n', ns, '-w', '--no-headers']);
        let seen = '';
        watch.stdout?.setEncoding('utf8').on('data', (text: string) => (seen += text));
        await eventually('the first line', async () => seen.includes('2/2'));
        await k('scale deployment d --replicas=3');
        await eventually('3/3 in the watch', async () => seen.includes('3/3'));
        watch.kill();
      });

      it('describe tells what happened', async () => {
        assert.match(await k('describe deployment d'), /ScalingReplicaSet[\s\S]*Scaled up replica set/);
        assert.match(await k('describe pods'), /Successfully assigned[\s\S]*Started container/);
        assert.match(
          await kubectl.run(['describe', 'node', 'node-1']),
          /Kubelet Version:[\s\S]*Non-terminated Pods:/,
        );
        assert.match(await k('describe service d'), /Endpoints:\s+10\.244\./);
      });

      it('logs, logs -f, exec -i with a closed stdin', async () => {
        const pod = (await k('get pods -l app=d -o jsonpath={.items[0].metadata.name}')).trim();
        assert.equal(
          await kubectl.run(['exec', '-i', pod, '-n', ns, '--', 'cat'], { input: 'x\n', timeoutMs: 20_000 }),
          'x\n',
        );
        assert.match(await kubectl.run(['exec', pod, '-n', ns, '--', 'sh', '-c', 'echo out; exit 0']), /out/);
        await assert.rejects(kubectl.run(['exec', pod, '-n', ns, '--', 'sh', '-c', 'exit 7']), /exit code 7/);
        await kubectl.run([
          'run',
          'talker',
          '-n',
          ns,
          `--image=${image}`,
          '--image-pull-policy=Never',
          '--restart=Never',
          '--command',
          '--',
          'sh',
          '-c',
          'for i in 1 2 3; do echo line $i; sleep 1; done',
        ]);
        const follow = kubectl.run(['logs', '-f', 'talker', '-n', ns, '--pod-running-timeout=30s']);
        await k('wait --for=jsonpath={.status.phase}=Running pod/talker --timeout=30s').catch(() => '');
        assert.equal(
          await eventually('the whole log', async () => follow.catch(() => k('logs -f talker'))),
          'line 1\nline 2\nline 3\n',
        );
        assert.equal(await k('logs talker --tail=1'), 'line 3\n');
      });

      it('rollout restart, status, history, undo', async () => {
        await k('rollout restart deployment/d');
        await k('rollout status deployment/d --timeout=90s');
        await k('set env deployment/d COLOR=blue');
        await k('rollout status deployment/d --timeout=90s');
        assert.match(await k('rollout history deployment/d'), /3\s+<none>/);
        await k('rollout undo deployment/d');
        await k('rollout status deployment/d --timeout=90s');
        assert.doesNotMatch(await k('get deployment d -o yaml'), /COLOR/);
      });

      it('label, annotate, taint, patch', async () => {
        await k('label deployment d tier=back');
        await k('annotate deployment d note=hello');
        assert.equal(await k('get deployment d -o jsonpath={.metadata.labels.tier}'), 'back');
        await kubectl.run(['taint', 'node', 'node-1', `t${ns}=1:PreferNoSchedule`]);
        await kubectl.run(['taint', 'node', 'node-1', `t${ns}-`]);
        await k('patch deployment d --type=merge -p {"metadata":{"labels":{"tier":"front"}}}');
        await k('patch deployment d --type=json -p [{"op":"remove","path":"/metadata/labels/tier"}]');
        await k('patch deployment d -p {"spec":{"minReadySeconds":0}}');
        assert.equal(await k('get deployment d -o jsonpath={.metadata.labels.tier}'), '');
      });

      it('--dry-run=server validates and stores nothing; bad input is refused in upstream’s words', async () => {
        assert.match(
          await k('create configmap dry --from-literal=a=1 --dry-run=server'),
          /created \(server dry run\)/,
        );
        await assert.rejects(k('get configmap dry'), /configmaps "dry" not found/);
        await assert.rejects(k('create configmap UPPER'), /a lowercase RFC 1123 subdomain must consist of/);
        await assert.rejects(
          kubectl.run(['apply', '-f', '-', '-n', ns], {
            input: 'apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n',
          }),
          /spec.ports\[0\].port: Invalid value: 99999: must be between 1 and 65535, inclusive/,
        );
      });

      it('api-resources, explain’s schema, auth can-i, version', async () => {
        assert.match(
          await kubectl.run(['api-resources']),
          /deployments\s+deploy\s+apps\/v1\s+true\s+Deployment/,
        );
        assert.equal((await k('auth can-i create pods')).trim(), 'yes');
        assert.match(
          await k('auth can-i create pods --as=nobody').catch((error: Error) => error.message),
          /no/,
        );
        assert.match(await kubectl.run(['version', '-o', 'json']), /v1\.36/);
      });

      it('delete in each propagation', async () => {
        await k('wait --for=condition=Available deployment/d --timeout=60s');
        const cascade = (mode: string): string =>
          version === '1.20' && mode === 'background' ? 'background' : mode;
        await k(`delete deployment d --cascade=${cascade('orphan')}`);
        const sets = (await k('get replicasets -o name')).trim().split('\n');
        assert.ok(sets.length >= 1 && sets[0] !== '');
        await k(`delete ${sets[0]} --cascade=foreground --timeout=90s`);
        for (const set of sets.slice(1)) await k(`delete ${set} --cascade=background`);
        await eventually('no pod is left', async () => (await k('get pods -l app=d -o name')) === '', 60_000);
      });

      it('delete namespace ends with everything in it', async () => {
        const name = `${ns}-gone`;
        await kubectl.run(['create', 'namespace', name]);
        await kubectl.run(['create', 'configmap', 'c', '-n', name]);
        await kubectl.run(['delete', 'namespace', name, '--timeout=60s']);
        await assert.rejects(kubectl.run(['get', 'namespace', name]), /not found/);
      });
    });
});
