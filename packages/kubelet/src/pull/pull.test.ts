import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { criCode, CriError } from '../cri/error.ts';
import { simulatedRuntime } from '../simulated/runtime.ts';
import { credentialsFor } from './credentials.ts';
import { ImageError, Images } from './images.ts';
import { parseReference, pullPolicyOf, withDefaultTag } from './reference.ts';

void describe('image names', () => {
  void it('are parsed by the distribution grammar', () => {
    assert.deepEqual(parseReference('nginx'), {
      registry: 'docker.io',
      repository: 'library/nginx',
      tag: '',
      digest: '',
    });
    assert.deepEqual(parseReference('a/b:1'), {
      registry: 'docker.io',
      repository: 'a/b',
      tag: '1',
      digest: '',
    });
    assert.deepEqual(parseReference('localhost:5000/a/b'), {
      registry: 'localhost:5000',
      repository: 'a/b',
      tag: '',
      digest: '',
    });
    const digest = `sha256:${'a'.repeat(64)}`;
    assert.equal(parseReference(`r.example/a@${digest}`).digest, digest);
    for (const bad of ['', 'A', 'a b', 'a:', ':1', 'a//b', 'a@sha256:12'])
      assert.throws(() => parseReference(bad), { name: 'InvalidImageName' }, bad);
  });
  void it('get a tag and a policy where they have none', () => {
    assert.equal(withDefaultTag('a'), 'a:latest');
    assert.equal(withDefaultTag('r:5000/a'), 'r:5000/a:latest');
    assert.deepEqual(
      ['a', 'a:latest', 'a:1'].map((image) => pullPolicyOf({ image })),
      ['Always', 'Always', 'IfNotPresent'],
    );
  });
});

void describe('pull credentials', () => {
  const secret = (auths: Record<string, object>): Secret => ({
    metadata: { name: 's' },
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  });
  const users = (image: string, ...secrets: Secret[]) =>
    credentialsFor(image, secrets).map(({ username }) => username);
  void it('fit by host, wildcard and path, the longest first', () => {
    const all = secret({
      'r.example': { username: 'host', password: 'p' },
      'https://r.example/team': { username: 'team', password: 'p' },
      '*.example': { username: 'star', password: 'p' },
      'other.example': { username: 'other', password: 'p' },
    });
    assert.deepEqual(
      users('r.example/team/app:1', all),
      ['team', 'host', 'star'].sort((a, b) => (a === 'team' ? -1 : b === 'team' ? 1 : 0)),
    );
    assert.deepEqual(users('r.example/else', all).includes('team'), false);
  });
  void it('know docker.io by its old name, and decode auth', () => {
    const auth = Buffer.from('me:se:cret').toString('base64');
    assert.deepEqual(credentialsFor('nginx', [secret({ 'https://index.docker.io/v1/': { auth } })])[0], {
      username: 'me',
      password: 'se:cret',
      identityToken: '',
    });
  });
  void it('skip what cannot be read', () => {
    assert.deepEqual(users('nginx', { metadata: {}, data: { '.dockerconfigjson': 'AAAA' } }), []);
  });
});

void describe('getting an image', () => {
  void it('fails, backs off, and comes back', async () => {
    const clock = new FakeClock();
    const cri = simulatedRuntime({ clock });
    const images = new Images({ cri, clock, serializePulls: true });
    const events: string[] = [];
    const ensure = () =>
      images.ensure({
        pod: { metadata: { uid: 'u' } },
        container: { name: 'main', image: 'r.example/a:1', imagePullPolicy: 'Always' },
        secrets: async () => [],
        event: (_, reason, message) => events.push(`${reason}: ${message}`),
        signal: new AbortController().signal,
      });
    cri.failCall('pullImage', new CriError('PullImage', criCode.Unknown, 'no such host'));
    await assert.rejects(
      ensure(),
      (error: unknown) =>
        error instanceof ImageError && error.reason === 'ErrImagePull' && error.message === 'no such host',
    );
    await assert.rejects(
      ensure(),
      (error: unknown) => error instanceof ImageError && error.reason === 'ImagePullBackOff',
    );
    cri.failCall('pullImage', undefined);
    await assert.rejects(ensure(), { reason: 'ImagePullBackOff' });
    clock.advance(10_000);
    assert.equal((await ensure()).id, 'r.example/a:1');
    assert.equal(events[1], 'Failed: Failed to pull image "r.example/a:1": no such host');
    assert.equal(events[2], 'BackOff: Back-off pulling image "r.example/a:1"');
    assert.match(
      events.at(-1)!,
      /^Pulled: Successfully pulled image "r\.example\/a:1" in 1ms \(1ms including waiting\)\. Image size: 0 bytes\.$/,
    );
  });
});
