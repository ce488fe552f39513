import assert from 'node:assert/strict';
import { eventually } from '../cluster.ts';
import { example, type Chapter } from './session.ts';

export const theExample: Chapter = {
  'apply -f examples/web: rolled out, answering through both Services, and unchanged when applied again':
    async (s) => {
      assert.match(await s.anywhere('apply -f', example), /deployment.apps\/back created/);
      for (const name of ['back', 'front'])
        assert.match(
          await s.anywhere(`rollout status deployment/${name} -n web --timeout=120s`),
          /successfully rolled out/,
        );
      const secret = await s.value('secret signing -n web', '.metadata.resourceVersion');
      const again = (await s.anywhere('apply -f', example)).trim().split('\n');
      // kubectl always sends a Secret's stringData, which no server gives back; it says "configured", and nothing changes.
      assert.deepEqual(
        again.filter((line) => !line.endsWith(' unchanged')),
        ['secret/signing configured'],
      );
      assert.equal(await s.value('secret signing -n web', '.metadata.resourceVersion'), secret);
      assert.equal(await s.anywhere('diff -f', example), '');
      await eventually(
        'the greeting by way of front, its Service, back and its Service',
        async () =>
          /Hello from out of the cloud[\s\S]*by back-/.test(
            await s.anywhere(
              'exec deployment/back -n web -- wget -q -O - http://front.web/api/cgi-bin/greet',
            ),
          ),
        60_000,
      );
    },
  'delete -f examples/web takes it away': async (s) => {
    assert.match(await s.anywhere('delete -f', example, '--timeout=120s'), /namespace "web" deleted/);
    assert.match(await s.refused('get namespace web'), /namespaces "web" not found/);
  },
};
