import type { Amounts } from './amounts.ts';

/** What the kernel is told: weights and limits of a container or a pod; undefined sets nothing. */
export interface LinuxLimits {
  cpuShares: number;
  cpuPeriodMicros: number;
  /** Undefined for no limit. */
  cpuQuotaMicros: number | undefined;
  memoryLimitBytes: number | undefined;
}

const sharesPerCore = 1024;
const minShares = 2;
const maxShares = 262_144;
const periodMicros = 100_000;
const minQuotaMicros = 1000;

/** Requests and limits as cgroup values (upstream: cm/helpers_linux.go MilliCPUToShares, MilliCPUToQuota). */
export function linuxLimits(requests: Amounts, limits: Amounts): LinuxLimits {
  const request = requests.get('cpu') ?? 0;
  const limit = limits.get('cpu') ?? 0;
  const memory = limits.get('memory') ?? 0;
  const shares = Math.floor((Math.round(request * 1000) * sharesPerCore) / 1000);
  return {
    cpuShares: request === 0 ? minShares : Math.min(Math.max(shares, minShares), maxShares),
    cpuPeriodMicros: periodMicros,
    cpuQuotaMicros: limit === 0 ? undefined : Math.max(Math.round(limit * periodMicros), minQuotaMicros),
    memoryLimitBytes: memory === 0 ? undefined : Math.floor(memory),
  };
}

/** cgroup v2's cpu.weight for v1's shares (KEP-2254's formula, as runc uses it). */
export function weightOfShares(shares: number): number {
  return Math.floor(1 + ((shares - 2) * 9999) / 262_142);
}
