import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldPath } from '@cloudless/kube/field';
import type { PodSpec } from '@cloudless/kube/types/core-v1';
import { validateHostProcesses, validateWindowsOptions } from './validate-windows.ts';

const texts = (found: ReadonlyArray<{ field: string; message: string }>): string[] =>
  found.map(
    ({ field, message }) => `${field}: ${message.replace(/^Invalid value: (?:"(?:[^"\\]|\\.)*"|\w+): /, '')}`,
  );

describe('a user name of Windows', () => {
  const table: Array<[string, string, string[]]> = [
    ['is a user', 'ContainerUser', []],
    ['is a user of a domain by its NetBIOS name', 'CORP\\alice', []],
    ['is a user of a domain by its DNS name', 'a.very.long.corp.example.com\\alice', []],
    ['is not empty', '', ['cannot be an empty string']],
    ['has one backslash at most', 'a\\b\\c', ['cannot contain more than one backslash']],
    ['has no control characters', 'a\u0001', ['cannot contain control characters']],
    ['has a user behind the domain', 'CORP\\', ["'s User cannot be empty"]],
    [
      'has a domain before the backslash',
      '\\alice',
      ["'s Domain doesn't match the NetBios nor the DNS format"],
    ],
    [
      'has a short domain',
      `${'d'.repeat(256)}\\a`,
      [
        "'s Domain length must be under 256 characters",
        "'s Domain doesn't match the NetBios nor the DNS format",
      ],
    ],
    ['has a short user', 'u'.repeat(105), ["'s User length must not be longer than 104 characters"]],
    ['is more than periods', '...', ["'s User cannot contain only periods or spaces"]],
    [
      'has no signs that Windows refuses',
      'a*b',
      ['\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]'],
    ],
  ];
  for (const [title, runAsUserName, expected] of table) {
    it(title, () => {
      const found = texts(validateWindowsOptions({ runAsUserName }, FieldPath.of('w')));
      const prefix = (why: string): string =>
        `w.runAsUserName: runAsUserName${why.startsWith("'") ? '' : ' '}${why}`;
      assert.deepEqual(found, expected.map(prefix));
    });
  }

  it('and the name of a credential spec is that of a resource', () => {
    const found = validateWindowsOptions({ gmsaCredentialSpecName: 'Bad_Name' }, FieldPath.of('w'));
    assert.deepEqual(
      found.map(({ field }) => field),
      ['w.gmsaCredentialSpecName'],
    );
  });
});

describe('processes of the host', () => {
  const path = FieldPath.of('spec');
  const host = { securityContext: { windowsOptions: { hostProcess: true } } };
  const specOf = (spec: Partial<PodSpec>): PodSpec => ({ containers: [], ...spec });

  it('are all containers of a pod in its network', () => {
    const spec = specOf({ ...host, hostNetwork: true, containers: [{ name: 'a' }, { name: 'b', ...host }] });
    assert.deepEqual(validateHostProcesses(spec, path), []);
  });

  it('are not some of the containers, nor of a network of their own', () => {
    const spec = specOf({ containers: [{ name: 'a', ...host }, { name: 'b' }] });
    assert.deepEqual(texts(validateHostProcesses(spec, path)), [
      'spec: If pod contains any hostProcess containers then all containers must be HostProcess containers',
      'spec.hostNetwork: hostNetwork must be true if pod contains any hostProcess containers',
    ]);
  });

  it('are what the pod says, in every container that says something', () => {
    const not = { securityContext: { windowsOptions: { hostProcess: false } } };
    const spec = specOf({ ...host, hostNetwork: true, containers: [{ name: 'a', ...not }] });
    assert.deepEqual(texts(validateHostProcesses(spec, path)), [
      'spec.containers[0].securityContext.windowsOptions.hostProcess: pod hostProcess value must be identical if both are specified, was true',
    ]);
  });
});
