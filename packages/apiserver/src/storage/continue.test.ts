import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusError } from '@cloudless/kube/status';
import { decodeContinue, encodeContinue } from './continue.ts';

const token = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('continue tokens', () => {
  it("are upstream's: base64url of version, revision and relative start", () => {
    const text = encodeContinue('/registry/pods/ns/a\0', '/registry/pods/', 12);
    assert.deepEqual(JSON.parse(Buffer.from(text, 'base64url').toString()), {
      v: 'meta.k8s.io/v1',
      rv: 12,
      start: 'ns/a\0',
    });
    assert.deepEqual(decodeContinue(text, '/registry/pods/'), {
      startKey: '/registry/pods/ns/a\0',
      revision: 12,
    });
  });

  it('cannot leave the resource or be made up', () => {
    const bad = [
      'not base64 json',
      token('text'),
      token({ v: 'other', rv: 1, start: 'a' }),
      token({ v: 'meta.k8s.io/v1', rv: 0, start: 'a' }),
      token({ v: 'meta.k8s.io/v1', rv: 1, start: '' }),
      token({ v: 'meta.k8s.io/v1', rv: 1, start: '../secrets/kube-system/x' }),
      token({ v: 'meta.k8s.io/v1', rv: 1, start: 'a/./b' }),
      token({ v: 'meta.k8s.io/v1', rv: 1, start: 'a//b' }),
    ];
    for (const each of bad) {
      assert.throws(
        () => decodeContinue(each, '/registry/pods/'),
        (error) =>
          error instanceof StatusError &&
          error.code === 400 &&
          /continue key is not valid/.test(error.message),
        each,
      );
    }
  });
});
