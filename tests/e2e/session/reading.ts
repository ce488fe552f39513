import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { image, type Chapter } from './session.ts';

export const creating: Chapter = {
  'create deployment, configmap and secret, expose': async (s) => {
    await s.k(`create deployment d --image=${image} --replicas=2`);
    await s.k('create configmap c --from-literal=a=1 --from-literal=b=2');
    await s.k('create secret generic s --from-literal=password=hunter2');
    await s.k('expose deployment d --port=80 --target-port=8080');
    assert.match(await s.k('rollout status deployment/d --timeout=120s'), /successfully rolled out/);
  },
};

export const reading: Chapter = {
  'get in every output': async (s) => {
    assert.match(
      await s.k('get deployment d'),
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nd +2\/2 +2 +2 +\S+\n$/,
    );
    assert.match(
      await s.k('get pods -o wide'),
      /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n(d-\S+ +1\/1 +Running +0 +\S+ +10\.244\.\S+ +node-1 +<none> +<none>\n){2}$/,
    );
    assert.deepEqual(JSON.parse(await s.k('get configmap c -o json')).data, { a: '1', b: '2' });
    assert.match(await s.k('get configmap c -o yaml'), /^data:\n {2}a: "1"\n {2}b: "2"\nkind: ConfigMap$/m);
    assert.match(await s.k('get pods -o name'), /^(pod\/d-\S+\n){2}$/);
    assert.equal(
      await s.k('get pods -o', 'jsonpath={range .items[*]}{.status.phase} {end}'),
      'Running Running ',
    );
    assert.match(
      await s.k('get deployment d -o custom-columns=N:.metadata.name,R:.spec.replicas'),
      /^N +R\nd +2\n$/,
    );
    assert.equal(
      await s.k('get configmap c -o', 'go-template={{range $k, $v := .data}}{{$k}}={{$v}};{{end}}'),
      'a=1;b=2;',
    );
    assert.match(await s.k('get all'), /service\/d [\s\S]*deployment.apps\/d [\s\S]*replicaset.apps\/d-/);
    assert.match(await s.k('get deployment/d service/d'), /deployment.apps\/d[\s\S]*service\/d/);
  },

  'get with selectors, labels, in all namespaces and sorted': async (s) => {
    assert.match(await s.k('get pods -l app=d --show-labels'), /LABELS\nd-.* app=d,pod-template-hash=/);
    assert.match(await s.k('get pods -L app --no-headers'), /^d-.* d\n/);
    assert.equal(await s.k('get pods -l', 'app in (x,y)', '-o', 'name'), '');
    assert.match(await s.k('get pods --field-selector=status.phase=Running -o name'), /^(pod\/d-\S+\n){2}$/);
    assert.equal(await s.k('get pods --field-selector=spec.nodeName!=node-1 -o name'), '');
    assert.match(await s.refused('get pods --field-selector=foo=bar'), /field label not supported: foo/);
    const everywhere = await s.anywhere('get services -A');
    assert.match(everywhere, /^NAMESPACE +NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\n/);
    assert.match(everywhere, new RegExp(`^default +kubernetes [\\s\\S]*^${s.namespace} +d `, 'm'));
    const names = await s.k('get configmaps --sort-by=.metadata.name --chunk-size=1 -o name');
    assert.equal(names, 'configmap/c\nconfigmap/kube-root-ca.crt\n');
    assert.match(await s.k('get events'), /SuccessfulCreate +replicaset\/d-/);
  },

  'get -w shows changes as they come': async (s) => {
    const watch = s.start('get deployment d -w --no-headers');
    const maps = s.start('get configmaps -w --output-watch-events --no-headers');
    await s.printed(watch, '2/2');
    await s.printed(maps, 'ADDED');
    await s.k('scale deployment d --replicas=3');
    await s.printed(watch, '3/3');
    await s.k('create configmap w');
    await s.k('patch configmap w -p {"data":{"k":"v"}}');
    await s.k('delete configmap w');
    await s.printed(maps, /ADDED +w +0 [\s\S]*MODIFIED +w +1 [\s\S]*DELETED +w +1 /);
    for (const { child } of [watch, maps]) child.kill();
  },

  'describe tells what happened': async (s) => {
    // Events are written beside the work that they tell of, and may follow it by a moment.
    const tells = async (what: string, pattern: RegExp): Promise<void> => {
      let text = '';
      await eventually(what, async () => pattern.test((text = await s.k(what)))).catch(() =>
        assert.match(text, pattern),
      );
    };
    await tells(
      'describe deployment d',
      /^Replicas: +3 desired \| 3 updated \| 3 total \| 3 available[\s\S]*ScalingReplicaSet[\s\S]*Scaled up replica set d-\S+ (from 0 )?to 2/m,
    );
    await tells('describe replicasets', /^Controlled By: +Deployment\/d[\s\S]*SuccessfulCreate +/m);
    // Newer ones show no events of several objects unless asked to.
    await tells(
      'describe pods -l app=d --show-events',
      new RegExp(
        `^Node: +node-1/192.0.2.10[\\s\\S]*Successfully assigned ${s.namespace}/d-\\S+ to node-1[\\s\\S]*already present on machine[\\s\\S]*Container created[\\s\\S]*Container started`,
        'm',
      ),
    );
    await tells('describe service d', /^Endpoints: +10\.244\.\d+\.\d+:8080,10\.244\./m);
    if (s.minor >= 21)
      await tells('describe endpointslices', /kubernetes.io\/service-name=d[\s\S]*TargetRef: +Pod\/d-/);
    // It asks for the beta of them, which is served no longer.
    else assert.match(await s.refused('describe endpointslices'), /could not find the requested resource/);
    await tells('describe configmap c', /^a:\n----\n1\n/m);
    const secret = await s.k('describe secret s');
    assert.match(secret, /^password: +7 bytes$/m);
    assert.doesNotMatch(secret, /hunter2/);
    await tells(`describe namespace ${s.namespace}`, /^Status: +Active$/m);
    await tells(
      'describe node node-1',
      /^ {2}Ready +True .* KubeletReady [\s\S]*Kubelet Version: +v1\.36[\s\S]*Non-terminated Pods:[\s\S]* d-\S+ [\s\S]*Allocated resources:/m,
    );
  },
};
