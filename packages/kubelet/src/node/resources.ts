import type { KubeletConfiguration } from '../config/configuration.ts';
import { amountOf } from '../resources/amounts.ts';
import type { Machine } from './machine.ts';

export interface NodeAmounts {
  /** As written into the Node. */
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
}

const kib = 1024;

/** What the node has and what of it pods may have: less what is reserved and the hard eviction threshold. */
export function nodeAmounts(machine: Machine, config: KubeletConfiguration, diskBytes: number): NodeAmounts {
  const reserved = (name: string): number =>
    amountOf(config.systemReserved[name] ?? '0') + amountOf(config.kubeReserved[name] ?? '0');
  const threshold = thresholdBytes(config.evictionHard['memory.available'], machine.memoryBytes);
  const cpu = Math.max(0, machine.cpuCores - reserved('cpu'));
  const memory = Math.max(0, machine.memoryBytes - reserved('memory') - threshold);
  const diskThreshold = thresholdBytes(config.evictionHard['nodefs.available'], diskBytes);
  const disk = Math.max(0, diskBytes - reserved('ephemeral-storage') - diskThreshold);
  return {
    capacity: {
      cpu: String(machine.cpuCores),
      memory: `${Math.floor(machine.memoryBytes / kib)}Ki`,
      'ephemeral-storage': `${Math.floor(diskBytes / kib)}Ki`,
      pods: String(config.maxPods),
    },
    allocatable: {
      cpu: Number.isInteger(cpu) ? String(cpu) : `${Math.round(cpu * 1000)}m`,
      memory: `${Math.floor(memory / kib)}Ki`,
      'ephemeral-storage': String(Math.floor(disk)),
      pods: String(config.maxPods),
    },
  };
}

/** An eviction threshold, a quantity or a share of the whole, in bytes; 0 when absent. */
export function thresholdBytes(threshold: string | undefined, whole: number): number {
  if (threshold === undefined || threshold === '') return 0;
  const share = /^(\d+(?:\.\d+)?)%$/.exec(threshold);
  return share ? (Number(share[1]) / 100) * whole : amountOf(threshold);
}
