import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { image, type Chapter } from './session.ts';

/** Waits until its terminal has the size that it is told, which comes from outside. */
const waitForSize = (size: string): string =>
  `until [ "$(stty size 2>/dev/null)" = "${size}" ]; do sleep 0.1; done`;

export const terminals: Chapter = {
  'exec -it: a terminal of the right size, that changes with ours': async (s) => {
    await s.runPod('screen', 'sleep 3600');
    await s.k('wait --for=condition=Ready pod/screen --timeout=90s');
    const inside = `${waitForSize('17 91')}; echo first; ${waitForSize('20 60')}; echo second; tty`;
    const seen = s.file('first-size-seen');
    const resize = `(until [ -e ${seen} ]; do sleep 0.1; done; stty -F /dev/tty cols 60 rows 20)`;
    const terminal = s.atTerminal(
      `stty cols 91 rows 17; ${resize} & $K exec -it screen -- sh -c '${inside}'`,
    );
    await s.printed(terminal, 'first\r\n');
    writeFileSync(seen, '');
    await s.printed(terminal, /first\r\nsecond\r\n\/dev\/pts\/\d+\r\n/);
    assert.equal(await terminal.ended, 0);
  },

  'exec -it passes keys as they are, control characters too': async (s) => {
    const terminal = s.atTerminal(`$K exec -it screen -- sh -c 'echo ready; cat; echo after; exit 7'`);
    await s.printed(terminal, 'ready\r\n');
    // End of input as a terminal says it.
    terminal.child.stdin?.write('typed\n');
    await s.printed(terminal, /typed\r\ntyped\r\n/);
    terminal.child.stdin?.write('\u0004');
    await s.printed(terminal, 'after\r\n');
    assert.equal(await terminal.ended, 7);
  },

  'run -it --rm is a shell until its end, with its exit code, and leaves no pod': async (s) => {
    const run = `run visit -it --rm --image=${image} --image-pull-policy=Never --restart=Never --command -- sh`;
    const terminal = s.atTerminal(`stty cols 80 rows 25; $K ${run}`);
    // Until the shell asks; what is typed before, kubectl may lose.
    await s.printed(terminal, /\/ \$ /);
    terminal.child.stdin?.write('stty size; exit 4\n');
    await s.printed(terminal, /25 80\r\n/);
    assert.equal(await terminal.ended, 4);
    assert.match(terminal.output(), /pod "visit" deleted/);
    assert.equal(await s.k('get pod visit --ignore-not-found -o name'), '');
  },

  'run -it of what ends at once shows what it said and tells its exit code': async (s) => {
    const run = `run glimpse -it --rm --quiet --image=${image} --image-pull-policy=Never --restart=Never --command`;
    const terminal = s.atTerminal(`$K ${run} -- sh -c 'echo seen; exit 5'`);
    assert.equal(await terminal.ended, 5);
    assert.match(terminal.output(), /^seen\r$/m);
    assert.equal(await s.k('get pod glimpse --ignore-not-found -o name'), '');
  },

  'attach -it joins a terminal, and leaves it alone when it goes': async (s) => {
    const spec = { terminationGracePeriodSeconds: 1 };
    const overrides = `--overrides=${JSON.stringify({ apiVersion: 'v1', spec })}`;
    // Interactive, and not waited for.
    const line = `run desk --stdin --tty --attach=false --image=${image} --image-pull-policy=Never --restart=Never ${overrides} --command -- sh -c`;
    await s.k(line, 'while read line; do echo got $line; stty size; done');
    await s.k('wait --for=condition=Ready pod/desk --timeout=90s');
    const sizes = [[71, 13], ...(s.does('newest') ? [[72, 14]] : [])] as const;
    for (const [cols, rows] of sizes) {
      const terminal = s.atTerminal(`stty cols ${cols} rows ${rows}; $K attach -it desk`);
      await s.printed(terminal, /command prompt/);
      const type = setInterval(() => terminal.child.stdin?.write(`${cols}\n`), 300);
      await s
        .printed(terminal, new RegExp(`got ${cols}\\r\\n${rows} ${cols}\\r\\n`))
        .finally(() => clearInterval(type));
      terminal.child.kill();
      await terminal.ended;
    }
    assert.equal(await s.value('pod desk', '.status.phase'), 'Running');
    await s.k('delete pod desk screen --wait=false');
  },
};
