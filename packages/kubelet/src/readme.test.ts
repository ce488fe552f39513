import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { knownFields } from './config/configuration.ts';
import { kubeletMetrics } from './kubelet/metrics.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

void describe('the README', () => {
  void it('lists the fields of the configuration that are read', () => {
    const list = /\nRead: ([^]*?)\.\s/.exec(readme)![1]!.split(/,\s+/);
    assert.deepEqual(list.sort(), [...knownFields].sort());
  });

  void it('lists the metrics', async () => {
    const sources = { nodeName: 'n', pods: { all: () => [] }, view: { uids: () => [] } };
    const text = await kubeletMetrics(sources as unknown as Parameters<typeof kubeletMetrics>[0]).text();
    const served = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    const listed = [...readme.matchAll(/^\| `(kubelet_\w+)`/gm)].map(([, name]) => name!);
    assert.deepEqual(listed.sort(), served.sort());
  });
});
