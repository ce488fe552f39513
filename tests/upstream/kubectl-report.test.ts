import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kubectlDocument, versionRange } from './kubectl-report.ts';

const versions = ['1.20', '1.27', '1.28', '1.33'];

describe('the report of what kubectl prints', () => {
  it('names versions by their runs', () => {
    const range = (...some: string[]): string => versionRange(new Set(some), versions);
    assert.equal(range(...versions), 'all');
    assert.equal(range('1.27'), '1.27');
    assert.equal(range('1.20', '1.28', '1.33'), '1.20, 1.28–1.33');
  });

  it('puts what differs for one reason into one row, and shows what nobody has explained', () => {
    const known = { upstream: 'componentstatuses cs\npods\n', ours: 'pods\n' };
    const text = kubectlDocument({
      upstreamVersion: 'v1.36.3',
      versions,
      typed: 9,
      differences: [
        ...versions.map((kubectl) => ({ kubectl, line: 'api-resources', ...known })),
        { kubectl: '1.20', line: 'api-resources -o name', ...known },
        { kubectl: '1.33', line: 'get x', upstream: 'a', ours: 'b' },
      ],
    });
    assert.match(text, /^\| `api-resources`: all; `api-resources -o name`: 1\.20 \| upstream lists/m);
    assert.match(text, /^\| `get x`: 1\.33 \| not explained \|/m);
    assert.match(text, /of 9 commands, by version of kubectl: 1\.20: 2, 1\.27: 1, 1\.28: 1, 1\.33: 2\./);
  });
});
