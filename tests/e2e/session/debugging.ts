import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { image, type Chapter } from './session.ts';

const options = `--image=${image} --image-pull-policy=Never`;

export const debugging: Chapter = {
  'debug puts a container into a running pod, which sees the processes of another': async (s) => {
    await s.runPod('patient', 'exec sleep 4321');
    await s.k('wait --for=condition=Ready pod/patient --timeout=90s');
    if (s.minor < 23) {
      // It sends a kind of its own, which went with Kubernetes 1.22.
      const said = await s.refused(`debug patient --image=${image}`);
      assert.match(said, /EphemeralContainers in version "v1" cannot be handled as a Pod/);
      return;
    }
    const debug = s.start(
      `debug patient -i ${options} -c doctor --target=patient -- sh -c`,
      'read word; echo heard $word; ps; until [ $word = end ]; do read word; done',
    );
    // The container is there before kubectl has joined it: said until it is heard.
    const say = setInterval(() => debug.child.stdin?.write('aah\n'), 300);
    await s.printed(debug, /heard aah\n/).finally(() => clearInterval(say));
    await s.printed(debug, /sleep 4321\n/);
    debug.child.stdin?.write('end\n');
    assert.equal(await debug.ended, 0);
    await eventually(
      'the status of the container that was added',
      async () =>
        (await s.value('pod patient', '.status.ephemeralContainerStatuses[0].state.terminated.exitCode')) ===
        '0',
    );
    assert.match(await s.k('logs patient -c doctor'), /^heard aah\n[\s\S]*sleep 4321/);
    assert.match(await s.k('describe pod patient'), /^Ephemeral Containers:\n {2}doctor:\n/m);
    assert.equal(await s.value('pod patient', '.status.containerStatuses[0].restartCount'), '0');
  },

  'and the pod goes as it came': async (s) => {
    await s.k('delete pod patient --wait=false');
  },
};

export const debuggingElsewhere: Chapter = {
  'debug of a copy, and of the node': async (s) => {
    await s.k('wait --for=delete pod/patient --timeout=90s');
    await s.runPod('patient', 'exec sleep 4321');
    await s.k('wait --for=condition=Ready pod/patient --timeout=90s');
    const copy = `debug patient ${options} --copy-to=twin --share-processes -c doctor -- sleep 3600`;
    await s.k(copy);
    await s.k('wait --for=condition=Ready pod/twin --timeout=90s');
    assert.equal(await s.value('pod twin', '.spec.containers[*].name'), 'patient doctor');
    assert.match(await s.k('exec twin -c doctor -- ps'), /sleep 4321/);
    assert.match(await s.refused(`debug patient ${options} --copy-to=twin`), /pods "twin" already exists/);
    const ofNode = `debug node/node-1 ${options}`;
    const script = 'ls /host; sleep 3600';
    // Profiles of pods came with kubectl 1.27; before, the option was about kubectl's own speed.
    if (s.minor < 27)
      assert.match(
        await s.refused(`${ofNode} --profile=general -- sh -c`, script),
        /unknown profile 'general'/,
      );
    const profile = s.minor < 27 ? '' : ' --profile=general';
    const node = await s.k(`${ofNode}${profile} -- sh -c`, script);
    const name =
      /Creating debugging pod (\S+) /.exec(node)?.[1] ??
      (await s.value('pods', '.items[?(@.spec.hostPID==true)].metadata.name'));
    await eventually('the node’s own files', async () =>
      /^etc\n[\s\S]*^usr$/m.test(await s.k(`logs ${name}`)),
    );
    assert.equal(await s.value(`pod ${name}`, '.spec.nodeName'), 'node-1');
    await s.k(`delete pod patient twin ${name} --now --wait=false`);
  },
};
