import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EndpointError, endpointName, parseEndpoint } from './endpoint.ts';

describe('an endpoint', () => {
  it('is a path or a database', () => {
    assert.deepEqual(parseEndpoint('sqlite:///var/lib/a%20b/state.db'), {
      kind: 'sqlite',
      path: '/var/lib/a b/state.db',
    });
    const url = 'postgres://u:p@h1:1,h2:2/db?sslmode=verify-full';
    assert.deepEqual(parseEndpoint(url), { kind: 'postgres', url });
  });

  for (const [text, message] of [
    ['', /"" is no endpoint: write sqlite:\/\/\/path/],
    ['/var/state.db', /is no endpoint/],
    ['mysql://x', /of kind mysql:\/\/ is not known/],
    ['sqlite://state.db', /names no file/],
    ['sqlite:///', /names no file/],
    ['sqlite://var/state.db', /sqlite:\/\/\/var\/state\.db/],
    ['sqlite:///a?b=c', /take no options/],
    ['sqlite:///100%', /% in the path is written %25/],
  ] as Array<[string, RegExp]>)
    it(`is refused in a sentence: ${text}`, () => {
      assert.throws(
        () => parseEndpoint(text),
        (error: unknown) => {
          assert.ok(error instanceof EndpointError);
          assert.match(error.message, message);
          return true;
        },
      );
    });

  it('is named without its password', () => {
    for (const text of [
      'postgres://u:secret@h1,h2/db',
      'postgresql:///db?user=u&password=secret&host=/run',
    ]) {
      const name = endpointName(parseEndpoint(text));
      assert.ok(!name.includes('secret'), name);
      assert.match(name, /^postgres(ql)?:\/\/.*db/);
    }
  });
});
