import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { CacheCounts, cacheMetrics, forwardMetrics } from './forward/metrics.ts';
import { dnsMetrics } from './metrics.ts';

it('the README has every metric with its labels', () => {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');
  const { registry } = dnsMetrics();
  forwardMetrics(registry);
  cacheMetrics(registry, new CacheCounts(), () => ({ success: 0, denial: 0 }));
  for (const metric of registry.getMetricsAsArray()) {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
    const row = readme.split('\n').find((line) => line.startsWith(`| \`${name}\``));
    assert.ok(row, name);
    for (const label of labelNames) assert.match(row, new RegExp(`\`${label}\``));
  }
});
