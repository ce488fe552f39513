import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { eventually } from '../cluster.ts';
import { image, type Chapter, type Session } from './session.ts';

/** Prints lines until told to stop, so that whoever follows can be sure to have come in time. */
const talk = 'i=0; until [ -e /tmp/stop ]; do i=$((i+1)); echo line $i; sleep 0.2; done; echo end';

async function aPod(s: Session): Promise<string> {
  return s.value('pods -l app=d', '.items[0].metadata.name');
}

export const streams: Chapter = {
  'logs, logs -f and attach follow a container to its end': async (s) => {
    await s.runPod('talker', talk);
    await s.k('wait --for=condition=Ready pod/talker --timeout=90s');
    const [follow, attach] = [s.start('logs -f talker'), s.start('attach talker')];
    await s.printed(follow, 'line 1\n');
    await s.printed(attach, /line \d+\n/);
    await s.k('exec talker -- touch /tmp/stop');
    assert.deepEqual(await Promise.all([follow.ended, attach.ended]), [0, 0]);
    const lines = follow.output().trimEnd().split('\n');
    assert.equal(lines.pop(), 'end');
    assert.deepEqual(
      lines,
      lines.map((_, i) => `line ${i + 1}`),
    );
    assert.match(attach.output(), /^line \d+\nend\n$/m);
    await eventually(
      'the pod ends',
      async () => (await s.value('pod talker', '.status.phase')) === 'Succeeded',
    );
    assert.equal(await s.k('logs talker --tail=1'), 'end\n');
    assert.match(await s.k('logs talker --timestamps --tail=1'), /^\d{4}-\d\d-\d\dT[\d:.]+Z end\n$/);
    assert.match(await s.refused('logs talker -c nosuch'), /container nosuch is not valid for pod talker/);
  },

  'logs --previous of a container that was started again': async (s) => {
    const line = `run crasher --image=${image} --image-pull-policy=Never --command -- sh -c`;
    await s.k(line, 'echo dying; exit 3');
    await eventually(
      'the second run’s logs of the first',
      async () => (await s.k('logs crasher --previous')) === 'dying\n',
      90_000,
    );
    await eventually('describe tells of the first', async () =>
      /Last State: +Terminated\n +Reason: +Error\n +Exit Code: +3/.test(await s.k('describe pod crasher')),
    );
    await s.k('delete pod crasher --now');
  },

  'exec: standard input that ends, exit codes, standard error, a large stream': async (s) => {
    const pod = await aPod(s);
    assert.equal(await s.feed('x\n', `exec -i ${pod} -- cat`), 'x\n');
    assert.equal(await s.feed('', `exec -i ${pod} -- cat`), '');
    assert.equal(await s.k(`exec ${pod} -- echo out`), 'out\n');
    assert.match(await s.refused(`exec ${pod} -- sh -c`, 'echo oops >&2; exit 7'), /exit code 7\noops\n/);
    assert.match(await s.refused(`exec ${pod} -- nosuch`), /exec: "nosuch": executable file not found/);
    assert.match(await s.refused('exec nosuch -- true'), /pods "nosuch" not found/);
    const large = 'all work and no play\n'.repeat(100_000);
    assert.ok((await s.feed(large, `exec -i ${pod} -- cat`)) === large, 'the stream came back changed');
  },

  'exec of a pipe that closes, as a shell writes it': async (s) => {
    const pod = await aPod(s);
    const output = execFileSync(
      'sh',
      ['-c', 'echo x | timeout 60 "$0" --kubeconfig "$1" -n "$2" exec -i "$3" -- cat'].concat(
        s.path,
        s.kubeconfig,
        s.namespace,
        pod,
      ),
      { encoding: 'utf8' },
    );
    assert.equal(output, 'x\n');
  },

  'run -i passes standard input on and ends as the container does': async (s) => {
    const line = (name: string): string =>
      `run ${name} -i --rm --quiet --image=${image} --image-pull-policy=Never --restart=Never --command -- sh -c`;
    // containerd joins what a container says after what it is told (ContainerIO.Attach): an echo made at once can be lost.
    assert.match(await s.feed('hello\n', line('reader'), 'sleep 1; read x; echo got $x'), /^got hello\n/m);
    assert.match(await s.refusedInput('go\n', line('failer'), 'read x; exit 3'), /exit code 3/);
    assert.equal(await s.k('get pods reader failer --ignore-not-found -o name'), '');
  },

  'cp there and back': async (s) => {
    const pod = await aPod(s);
    const [there, back] = [s.file('there'), s.file('back')];
    writeFileSync(there, 'cargo '.repeat(50_000));
    await s.k(`cp ${there} ${pod}:/tmp/cargo`);
    await s.k(`cp ${pod}:/tmp/cargo ${back}`);
    assert.ok(readFileSync(there).equals(readFileSync(back)), 'the file came back changed');
  },

  'port-forward to a Service’s pod': async (s) => {
    const forward = s.start('port-forward service/d :80');
    await s.printed(forward, /Forwarding from 127\.0\.0\.1:\d+ -> 8080/);
    const port = /127\.0\.0\.1:(\d+)/.exec(forward.output())?.[1];
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(30_000) });
      assert.equal(await answer.text(), 'ok\n');
    }
    forward.child.kill();
    await forward.ended;
  },
};
