import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pod } from '@cloudless/kube/types/core-v1';
import {
  chosenContainer,
  commandParameters,
  logParameters,
  portParameters,
  statusFromKubelet,
} from './parameters.ts';

const pod = (containers: string[], init: string[] = []): Pod => ({
  metadata: { name: 'x' },
  spec: {
    containers: containers.map((name) => ({ name, image: 'i' })),
    initContainers: init.map((name) => ({ name, image: 'i' })),
  },
});
const query = (text: string): URLSearchParams => new URLSearchParams(text);

describe('parameters of streams', () => {
  it('the only container needs no name', () => {
    assert.equal(chosenContainer(pod(['a'], ['setup']), ''), 'a');
    assert.equal(chosenContainer(pod(['a'], ['setup']), 'setup'), 'setup');
  });

  it('several containers need one, in upstream words', () => {
    assert.throws(() => chosenContainer(pod(['a', 'b']), ''), {
      code: 400,
      message: 'a container name must be specified for pod x, choose one of: [a b]',
    });
    assert.throws(() => chosenContainer(pod(['a']), 'c'), {
      code: 400,
      message: 'container c is not valid for pod x',
    });
  });

  it('log options are checked and only known ones pass', () => {
    assert.equal(
      logParameters(
        query('follow=true&tailLines=5&container=a&previous=false&pretty=1&limitBytes=10'),
        'p',
      ).toString(),
      'follow=true&tailLines=5&limitBytes=10',
    );
    assert.throws(() => logParameters(query('tailLines=-1'), 'p'), {
      code: 422,
      message:
        'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    });
    assert.throws(
      () => logParameters(query('sinceSeconds=0'), 'p'),
      /sinceSeconds: Invalid value: 0: must be greater than 0/,
    );
    assert.throws(() => logParameters(query('tailLines=many'), 'p'), { code: 400 });
    assert.throws(() => logParameters(query('sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z'), 'p'), {
      code: 422,
    });
    assert.throws(
      () => logParameters(query('stream=Both'), 'p'),
      /supported values: "All", "Stderr", "Stdout"/,
    );
  });

  it('exec needs a stream and a command', () => {
    assert.equal(
      commandParameters(
        'exec',
        query('stdin=true&stdout=1&stderr=true&command=sh&command=-c&command=a b'),
      ).toString(),
      'input=1&output=1&error=1&command=sh&command=-c&command=a+b',
    );
    assert.throws(
      () => commandParameters('exec', query('command=id')),
      /at least 1 of stdin, stdout, stderr/,
    );
    assert.throws(() => commandParameters('exec', query('stdout=true')), /must specify a command/);
    assert.equal(commandParameters('attach', query('stdout=true')).toString(), 'output=1');
  });

  it('ports are numbers of ports', () => {
    assert.equal(portParameters(query('ports=80&ports=81,82')).get('port'), '80,81,82');
    assert.equal(portParameters(query('')).toString(), '');
    assert.throws(() => portParameters(query('ports=70000')), { code: 400 });
  });

  it("a kubelet's refusal names the node and the remedy", () => {
    assert.match(
      statusFromKubelet(401, 'Unauthorized', 'n1', 'x').message,
      /node "n1" refuses the API server \(401\).*client certificate/,
    );
    assert.equal(
      statusFromKubelet(400, 'container "a" in pod "x" is terminated', 'n1', 'x').reason,
      'BadRequest',
    );
    assert.equal(statusFromKubelet(302, 'elsewhere', 'n1', 'x').code, 502);
  });
});
