import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { TokenRequest } from '@cloudless/kube/types/authentication-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { PodTokens } from './tokens.ts';

const pod: Pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u' },
  spec: { containers: [], serviceAccountName: 'robot' },
};

/** An API that numbers the tokens it gives, and can be down. */
function fakeApi(clock: FakeClock) {
  const api = { asked: [] as TokenRequest[], down: false };
  const client = {
    createSubresource: async (_: unknown, name: string, subresource: string, body: TokenRequest) => {
      if (api.down) throw new Error('connection refused');
      assert.equal(`${name}/${subresource}`, 'robot/token');
      api.asked.push(body);
      const lifeMs = (body.spec!.expirationSeconds ?? 0) * 1000;
      const expirationTimestamp = new Date(clock.nowMs() + lifeMs).toISOString();
      return { ...body, status: { token: `token-${api.asked.length}`, expirationTimestamp } };
    },
  };
  return { api, client: client as unknown as KubeClient };
}

void describe('service account tokens', () => {
  void it('are bound to the pod, kept, and renewed at 80 % of their life', async () => {
    const clock = new FakeClock();
    const { api, client } = fakeApi(clock);
    const tokens = new PodTokens({ client, clock });
    const get = () => tokens.token(pod, 'vault', 1000);
    assert.equal(await get(), 'token-1');
    assert.deepEqual(api.asked[0]!.spec, {
      audiences: ['vault'],
      expirationSeconds: 1000,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' },
    });
    assert.equal(tokens.renewAtMs('u'), clock.nowMs() + 800_000);
    clock.advance(799_000);
    assert.equal(await get(), 'token-1');
    clock.advance(1000);
    assert.equal(await get(), 'token-2');
  });

  void it('serve on while the API is down, until they expire', async () => {
    const clock = new FakeClock();
    const { api, client } = fakeApi(clock);
    const tokens = new PodTokens({ client, clock });
    const get = () => tokens.token(pod, undefined, 1000);
    await get();
    api.down = true;
    clock.advance(900_000);
    assert.equal(await get(), 'token-1');
    assert.ok(tokens.renewAtMs('u')! > clock.nowMs(), 'and the next try is not at once');
    clock.advance(100_000);
    await assert.rejects(get(), /failed to fetch token: connection refused/);
  });

  void it('are forgotten with the pod', async () => {
    const clock = new FakeClock();
    const { client } = fakeApi(clock);
    const tokens = new PodTokens({ client, clock });
    await tokens.token(pod, undefined, 1000);
    tokens.release('u');
    assert.equal(tokens.renewAtMs('u'), undefined);
    assert.equal(await tokens.token(pod, undefined, 1000), 'token-2');
  });
});
