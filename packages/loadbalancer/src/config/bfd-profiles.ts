import type { BfdProfile } from './config.ts';
import type { BfdProfileObject } from './kinds.ts';
import type { Findings } from './problem.ts';

/** BFD profiles by name, with the defaults of FRR, which MetalLB's users know. */
export function parseBfdProfiles(
  objects: readonly BfdProfileObject[],
  findings: Findings,
): ReadonlyMap<string, BfdProfile> {
  const profiles = new Map<string, BfdProfile>();
  for (const object of objects) {
    const report = findings.of('BFDProfile', object);
    const { name = '' } = object.metadata;
    const spec = object.spec ?? {};
    const within = (field: keyof typeof spec, lowest: number, highest: number, otherwise: number): number => {
      const value = spec[field] ?? otherwise;
      if (typeof value !== 'number' || value < lowest || value > highest) {
        report.problem(`spec.${field}`, `${String(value)} is not from ${lowest} to ${highest}`);
        return otherwise;
      }
      return value;
    };
    if (profiles.has(name))
      report.problem(
        'metadata.name',
        `${name} is the name of another BFDProfile already; names are for all namespaces`,
      );
    if (spec.echoMode)
      report.warning(
        'spec.echoMode',
        'echo packets are not sent; the peer is watched by control packets alone',
      );
    profiles.set(name, {
      name,
      receiveIntervalMs: within('receiveInterval', 10, 60_000, 300),
      transmitIntervalMs: within('transmitInterval', 10, 60_000, 300),
      echoIntervalMs: within('echoInterval', 10, 60_000, 50),
      detectMultiplier: within('detectMultiplier', 2, 255, 3),
      echoMode: spec.echoMode ?? false,
      passiveMode: spec.passiveMode ?? false,
      minimumTtl: within('minimumTtl', 1, 254, 254),
    });
  }
  return profiles;
}
