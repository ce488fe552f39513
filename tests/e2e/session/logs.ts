import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { image, type Chapter } from './session.ts';

const container = (name: string, script: string) => ({
  name,
  image,
  imagePullPolicy: 'Never',
  command: ['sh', '-c', script],
});

/** One container before two others. */
const choir = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'choir', labels: { app: 'choir' } },
  spec: {
    terminationGracePeriodSeconds: 1,
    initContainers: [container('conductor', 'echo tap')],
    containers: [
      container('alto', 'echo la; sleep 3600'),
      container('bass', 'echo dum; echo doo; sleep 3600'),
    ],
  },
};

export const logs: Chapter = {
  'logs of every container, those that came first too, and of one that has not begun': async (s) => {
    await s.feed(JSON.stringify(choir), 'create -f -');
    await s.k('wait --for=condition=Ready pod/choir --timeout=90s');
    assert.equal(await s.k('logs choir -c conductor'), 'tap\n');
    await eventually('the bass', async () => (await s.k('logs choir -c bass')) === 'dum\ndoo\n');
    // Older ones show the init containers last.
    const lines = (text: string): string[] => text.trimEnd().split('\n').sort();
    assert.deepEqual(lines(await s.k('logs choir --all-containers')), ['doo', 'dum', 'la', 'tap']);
    assert.deepEqual(lines(await s.k('logs choir --all-containers --prefix --tail=1')), [
      '[pod/choir/alto] la',
      '[pod/choir/bass] doo',
      '[pod/choir/conductor] tap',
    ]);
    assert.equal(await s.k('logs -l app=choir -c alto --tail=-1'), 'la\n');
    const several =
      s.minor >= 24
        ? /Defaulted container "alto" out of: alto, bass, conductor \(init\)|^la$/m
        : /a container name must be specified for pod choir, choose one of: \[alto bass\]/;
    const chosen = s.start('logs choir');
    await chosen.ended;
    assert.match(chosen.output(), several);
    assert.match(
      await s.refused('logs choir -c alto -p'),
      /previous terminated container "alto" in pod "choir" not found/,
    );
    await s.k(`run late --image=cloudless.local/nosuch:1 --image-pull-policy=Never --restart=Never`);
    await eventually('the reason', async () =>
      /container "late" in pod "late" is waiting to start: ErrImageNeverPull/.test(
        await s.refused('logs late'),
      ),
    );
    assert.match(await s.refused('exec late -- true'), /container not found \("late"\)/);
    assert.match(await s.refused('port-forward pod/late :80'), /pod is not running. Current status=Pending/);
    await s.k('delete pod late --now --wait=false');
  },

  'logs by time, count and bytes': async (s) => {
    const [stamp = ''] = (await s.k('logs choir -c bass --timestamps')).split(' ', 1);
    assert.match(stamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.equal(await s.k('logs choir -c bass --since=1h'), 'dum\ndoo\n');
    assert.equal(await s.k(`logs choir -c bass --since-time=${stamp}`), 'dum\ndoo\n');
    assert.equal(await s.k('logs choir -c bass --since-time=2099-01-01T00:00:00Z'), '');
    assert.equal(await s.k('logs choir -c bass --tail=0'), '');
    assert.equal(await s.k('logs choir -c bass --limit-bytes=5'), 'dum\nd');
    assert.match(
      await s.refused('logs choir -c bass --since=1h --since-time=2026-01-01T00:00:00Z'),
      /at most one of/,
    );
    await s.k('delete pod choir --wait=false');
  },
};

export const rotation: Chapter = {
  'logs -f goes on over the rotation of the file': async (s) => {
    // More than containerLogMaxSize, 10Mi, and then a few lines more for whoever follows.
    const long = 'x'.repeat(1000);
    const flood = `i=0; while [ $i -lt 11000 ]; do i=$((i+1)); echo $i ${long}; done; until [ -e /tmp/stop ]; do i=$((i+1)); echo $i; sleep 0.3; done`;
    await s.runPod('flood', flood);
    await s.k('wait --for=condition=Ready pod/flood --timeout=90s');
    const follow = s.start('logs -f flood');
    const first = async (): Promise<number> =>
      Number((await s.k('logs flood --limit-bytes=8')).split(/\s/)[0]);
    await eventually('the rotation', async () => (await first()) > 1, 60_000);
    const seen = follow.output().split('\n').length;
    await eventually('lines after it', async () => follow.output().split('\n').length > seen + 3);
    await s.k('exec flood -- touch /tmp/stop');
    assert.equal(await follow.ended, 0);
    const numbers = follow
      .output()
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.split(' ')[0]));
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
    await s.k('delete pod flood --wait=false');
  },
};
