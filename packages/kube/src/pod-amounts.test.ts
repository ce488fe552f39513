import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Container } from './generated/types/core-v1.ts';
import { numbers, quantities, totalOfContainers } from './pod-amounts.ts';
import { Quantity } from './quantity.ts';

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };

const container = (cpu: number, kind: 'plain' | 'sidecar' = 'plain'): Container => ({
  name: 'c',
  resources: { requests: { cpu: String(cpu) } },
  ...(kind === 'sidecar' ? { restartPolicy: 'Always' } : {}),
});
const cpuOf = ({ resources }: Container): Map<string, number> =>
  new Map(Object.entries(resources?.requests ?? {}).map(([name, text]) => [name, Number(text)]));
const cpu = (containers: Container[], initContainers: Container[] = []): number | undefined =>
  totalOfContainers({ containers, initContainers }, cpuOf, numbers).get('cpu');

describe('what a pod asks for', () => {
  it('is the sum of its containers', () => assert.equal(cpu([container(1), container(2)]), 3));
  it('is its largest init container when that is more', () =>
    assert.equal(cpu([container(1)], [container(5), container(4)]), 5));
  it('counts a sidecar beside containers and beside the init containers after it', () => {
    assert.equal(cpu([container(1)], [container(2, 'sidecar')]), 3);
    assert.equal(cpu([container(1)], [container(2, 'sidecar'), container(4)]), 6);
    assert.equal(cpu([container(1)], [container(4), container(2, 'sidecar')]), 4);
  });
  it('is nothing for a pod that asks for nothing', () => {
    assert.equal(totalOfContainers(undefined, cpuOf, numbers).size, 0);
    assert.equal(cpu([{ name: 'c' }], [{ name: 'i' }]), undefined);
  });

  it('is the peak over its life, in numbers as in quantities', () => {
    const made = fc.tuple(fc.nat(1000), fc.constantFrom('plain' as const, 'sidecar' as const));
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), fc.array(made), (main, init) => {
        let sidecars = 0;
        let peak = 0;
        for (const [amount, kind] of init) {
          peak = Math.max(peak, sidecars + amount);
          if (kind === 'sidecar') sidecars += amount;
        }
        peak = Math.max(
          peak,
          main.reduce((sum, amount) => sum + amount, sidecars),
        );
        const spec = {
          containers: main.map((amount) => container(amount)),
          initContainers: init.map(([amount, kind]) => container(amount, kind)),
        };
        assert.equal(totalOfContainers(spec, cpuOf, numbers).get('cpu') ?? 0, peak);
        const exact = totalOfContainers(
          spec,
          ({ resources }) => new Map([['cpu', Quantity.parse(resources?.requests?.['cpu'] ?? 0)]]),
          quantities,
        );
        assert.equal((exact.get('cpu') ?? Quantity.zero).toString(), Quantity.of(peak).toString());
      }),
      seed,
    );
  });
});
