// A person's sitting with kubectl, with every kubectl of this machine and the one that `KUBECTL=/path` names;
// `KUBECTLS=1.20,1.32` picks some of them, `KUBECTLS=all` does every chapter with each, `KUBECTLS=all,1.32` with some.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, kubectls, repository, TestCluster } from './cluster.ts';
import { applying } from './session/applying.ts';
import { copying } from './session/copying.ts';
import { changing } from './session/changing.ts';
import { custom } from './session/custom.ts';
import { debugging, debuggingElsewhere } from './session/debugging.ts';
import { discovery } from './session/discovery.ts';
import { ending } from './session/ending.ts';
import { theExample } from './session/example.ts';
import { forwarding } from './session/forwarding.ts';
import { identity } from './session/identity.ts';
import { logs, rotation } from './session/logs.ts';
import { draining, nodes } from './session/nodes.ts';
import { creating, reading } from './session/reading.ts';
import { deadlines, rollouts } from './session/rollouts.ts';
import { type By, minorOf, Session, Turns, type Chapter } from './session/session.ts';
import { streams } from './session/streams.ts';
import { terminals } from './session/terminals.ts';

const images = ['back', 'front'].map((name) => builtImage(`examples/web/images/${name}/image.yaml`));
const asked = process.env['KUBECTLS']?.split(',') ?? [];
const everything = asked.includes('all');
const picked = asked.filter((each) => each !== 'all');
const versions = kubectls().filter(({ version }) => picked.length === 0 || picked.includes(version));
/** The newest and the oldest do more than the others, which fill the gaps. */
const longestFirst = versions.toSorted((a, b) => minorOf(b.version) - minorOf(a.version));
longestFirst.unshift(...longestFirst.splice(-1));
isolate();
addUplink();

describe('a kubectl session', () => {
  const cluster = new TestCluster();
  before(async () => {
    await cluster.up();
    await cluster.cloudless('image', 'load', ...images);
  });
  after(() => cluster.remove());

  it('has kubectl programs to test with, Debian’s among them', () => {
    assert.ok(
      versions.length > 0,
      `no kubectl${picked.length > 0 ? ` of version ${picked.join()}` : ''} was found`,
    );
    const debian = ['/usr/bin/kubectl', join(repository, '.cache/kubectl/usr/bin/kubectl')];
    assert.ok(debian.some(existsSync), 'Debian’s kubectl is absent: scripts/setup --test installs it');
  });

  // Sessions wait for rollouts most of the time, so a few go on side by side. Those that are at the example, whose
  // namespace is one, or at the node take turns.
  const [exampleTurns, nodeTurns] = [new Turns(), new Turns()];

  describe('versions', { concurrency: 3 }, () => {
    for (const { version, path } of longestFirst)
      describe(`kubectl ${version}`, { concurrency: 1 }, () => {
        const session = new Session(
          version,
          versions.map((each) => each.version),
          cluster.kubectl(path),
          cluster.root,
          cluster.kubeconfig,
          everything,
        );
        const chapter = (name: string, steps: Chapter, how: { turns?: Turns; by?: By } = {}): void => {
          if (how.by && !session.does(how.by)) return;
          describe(name, { concurrency: 1 }, () => {
            let end: (() => void) | undefined;
            before(async () => void (end = await how.turns?.take()));
            after(() => end?.());
            for (const [what, step] of Object.entries(steps)) it(`${version}: ${what}`, () => step(session));
          });
        };

        before(() => session.anywhere(`create namespace ${session.namespace}`));
        after(() => session.anywhere(`delete namespace ${session.namespace} --wait=false`));

        chapter('the example', theExample, { by: 'oldest and newest', turns: exampleTurns });
        chapter('creating', creating);
        chapter('reading', reading);
        chapter('streams', streams);
        chapter('copying', copying, { by: 'oldest and newest' });
        chapter('logs', logs, { by: 'oldest and newest' });
        chapter('rotation', rotation, { by: 'newest' });
        chapter('terminals', terminals);
        chapter('debugging', debugging);
        chapter('debugging elsewhere', debuggingElsewhere, { by: 'newest' });
        chapter('forwarding', forwarding, { by: 'oldest and newest' });
        chapter('rollouts', rollouts);
        chapter('deadlines', deadlines, { by: 'oldest and newest' });
        chapter('changing', changing);
        chapter('applying', applying);
        chapter('custom', custom);
        chapter('discovery', discovery);
        chapter('identity', identity, { by: 'oldest and newest' });
        chapter('the node', nodes);
        chapter('draining', draining, { by: 'oldest and newest', turns: nodeTurns });
        chapter('ending', ending, { by: 'oldest and newest' });
      });
  });
});
