import type { Datastore } from '../datastore.ts';
import type { GrpcCounters } from './grpc/counters.ts';
import { serverVersion } from './version.ts';

interface Gauge {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly value: number;
  readonly labels?: string;
}

export interface ServerFigures {
  healthSuccesses: number;
  healthFailures: number;
  /** Bytes of gRPC messages. */
  receivedBytes: number;
  sentBytes: number;
}

/** What `/metrics` says of the server and its process, beside the store's figures; etcd's names. */
export function serverMetricsText(store: Datastore, counters: GrpcCounters, figures: ServerFigures): string {
  const { quotaBytes } = store;
  const { rss } = process.memoryUsage();
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const gauges: Gauge[] = [
    { name: 'etcd_server_has_leader', type: 'gauge', help: 'Whether the store takes writes.', value: 1 },
    { name: 'etcd_server_is_leader', type: 'gauge', help: 'Every server of a store writes.', value: 1 },
    {
      name: 'etcd_server_version',
      type: 'gauge',
      help: 'The etcd whose behaviour is implemented.',
      labels: `server_version="${serverVersion}"`,
      value: 1,
    },
    {
      name: 'etcd_server_quota_backend_bytes',
      type: 'gauge',
      help: 'Size at which writes are refused; 0: none.',
      value: Number.isFinite(quotaBytes) ? quotaBytes : 0,
    },
    {
      name: 'etcd_server_health_success',
      type: 'counter',
      help: 'Good answers of /health.',
      value: figures.healthSuccesses,
    },
    {
      name: 'etcd_server_health_failures',
      type: 'counter',
      help: 'Bad answers of /health.',
      value: figures.healthFailures,
    },
    {
      name: 'etcd_network_client_grpc_received_bytes_total',
      type: 'counter',
      help: 'Bytes of gRPC requests.',
      value: figures.receivedBytes,
    },
    {
      name: 'etcd_network_client_grpc_sent_bytes_total',
      type: 'counter',
      help: 'Bytes of gRPC answers.',
      value: figures.sentBytes,
    },
    { name: 'process_resident_memory_bytes', type: 'gauge', help: 'Memory of the process.', value: rss },
    {
      name: 'process_start_time_seconds',
      type: 'gauge',
      help: 'When the process started, seconds since the epoch.',
      value: performance.timeOrigin / 1000,
    },
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'Processor time of the process.',
      value: (userCPUTime + systemCPUTime) / 1e6,
    },
  ];
  const text = gauges.map(
    ({ name, type, help, value, labels }) =>
      `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${labels === undefined ? '' : `{${labels}}`} ${value}\n`,
  );
  return text.join('') + counters.text();
}
