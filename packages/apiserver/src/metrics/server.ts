import { groupResourceOf } from '@cloudless/kube/object';
import type { FlowGate } from '../flowcontrol/gate.ts';
import type { Registry } from '../registry/registry.ts';
import type { VersionInfo } from '../server/options.ts';

/** Gauges that are read when they are asked for, in Prometheus text under upstream's names. */
export function serverMetrics(parts: { registry: Registry; gate: FlowGate; version: VersionInfo }): string {
  const { registry, gate, version } = parts;
  const lines = [
    '# HELP apiserver_current_inflight_requests Requests being served, long-running ones aside.',
    '# TYPE apiserver_current_inflight_requests gauge',
    `apiserver_current_inflight_requests{request_kind="mutating"} ${gate.mutating}`,
    `apiserver_current_inflight_requests{request_kind="readOnly"} ${gate.reading}`,
    '# HELP apiserver_storage_objects Stored objects, of the resources whose cache runs.',
    '# TYPE apiserver_storage_objects gauge',
  ];
  for (const { resource, cache } of registry.opened()) {
    lines.push(`apiserver_storage_objects{resource="${groupResourceOf(resource)}"} ${cache.entries.size}`);
  }
  lines.push(
    '# HELP apiserver_registered_watchers Open watches and in-process subscriptions by resource.',
    '# TYPE apiserver_registered_watchers gauge',
  );
  for (const { resource, cache } of registry.opened()) {
    lines.push(
      `apiserver_registered_watchers{group="${resource.group}",kind="${resource.kind}",version="${resource.version}"} ${cache.watchers}`,
    );
  }
  const { rss, heapUsed } = process.memoryUsage();
  const cpu = process.cpuUsage();
  lines.push(
    '# HELP kubernetes_build_info Constant 1, labelled by version.',
    '# TYPE kubernetes_build_info gauge',
    `kubernetes_build_info{git_version="${version.gitVersion}",git_commit="${version.gitCommit ?? ''}"} 1`,
    '# HELP process_resident_memory_bytes Resident memory size in bytes.',
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${rss}`,
    '# HELP nodejs_heap_size_used_bytes Bytes of the heap in use.',
    '# TYPE nodejs_heap_size_used_bytes gauge',
    `nodejs_heap_size_used_bytes ${heapUsed}`,
    '# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.',
    '# TYPE process_cpu_seconds_total counter',
    `process_cpu_seconds_total ${(cpu.user + cpu.system) / 1e6}`,
  );
  return `${lines.join('\n')}\n`;
}
