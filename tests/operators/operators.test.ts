/** The definitions of five real operators, and objects of theirs judged as upstream's own server judges them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { after, before, describe, it } from 'node:test';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { type Cluster, startCluster } from 'cloudless/testing';
import { definitionsOf, fileOf, operators } from './operators.ts';
import { install, judge, publishedDefinitions, type Target, type Verdicts } from './runner.ts';

/** Time of this thread, in which the server runs: other tests beside this one do not count. */
const acceptedWithinMs = 200;
const threadMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const smallest: CustomResourceDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'firsts.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'firsts', kind: 'First' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
};

describe('operators', () => {
  let cluster: Cluster;
  let target: Target;

  before(async () => {
    cluster = await startCluster({ nodes: 0, controllers: false, scheduler: false });
    const { users } = cluster.adminConfig;
    const [user] = users;
    const pem = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString();
    const agent = new Agent({
      ca: cluster.ca,
      cert: pem(user?.certData),
      key: pem(user?.keyData),
      keepAlive: true,
    });
    target = { url: cluster.url, agent };
    // The first definition of all loads the code for them; that is not what is measured.
    assert.equal((await install(target, smallest)).code, 201);
  });
  after(async () => {
    target.agent.destroy();
    await cluster.stop();
  });

  for (const [operator, cases] of Object.entries(operators)) {
    describe(operator, () => {
      it('has its definitions accepted, served and published', async (context) => {
        let longest = { name: '', createdMs: 0, servedMs: 0 };
        let busiestMs = 0;
        for (const definition of definitionsOf(operator)) {
          const name = definition.metadata?.name as string;
          const before = threadMs();
          const { code, conditions, createdMs, servedMs, body } = await install(target, definition);
          assert.equal(code, 201, `${name}: ${JSON.stringify(body)}`);
          assert.deepEqual(conditions, [
            { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
            {
              type: 'Established',
              status: 'True',
              reason: 'InitialNamesAccepted',
              message: 'the initial names have been accepted',
            },
          ]);
          const busyMs = threadMs() - before;
          busiestMs = Math.max(busiestMs, busyMs);
          assert.ok(busyMs < acceptedWithinMs, `${name} took ${busyMs.toFixed(0)} ms until it was served`);
          const { group, names, versions } = definition.spec;
          for (const version of versions.filter(({ served }) => served)) {
            const published = await publishedDefinitions(target, `${group}/${version.name}`);
            const kind = `${group.split('.').reverse().join('.')}.${version.name}.${names.kind}`;
            assert.ok(published.includes(kind), `${kind} is in OpenAPI at once`);
          }
          if (createdMs > longest.createdMs) longest = { name, createdMs, servedMs };
        }
        const { name, createdMs, servedMs } = longest;
        const times = [createdMs, servedMs, busiestMs].map((ms) => ms.toFixed(0));
        context.diagnostic(
          `${name}: accepted in ${times[0]} ms, served after ${times[1]}; at most ${times[2]} of work`,
        );
      });

      const verdicts = JSON.parse(readFileSync(fileOf('verdicts', operator), 'utf8')) as Verdicts;
      for (const [index, each] of cases.entries()) {
        it(each.title, async () => {
          assert.deepEqual(await judge(target, each, `case-${index}`), verdicts[each.title]);
        });
      }
    });
  }
});
