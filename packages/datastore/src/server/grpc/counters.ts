import { grpcCodeName } from '@cloudless/kube/grpc-codes';

/** What became of the calls of one method. */
export interface CallCounters {
  started: number;
  /** By gRPC code. */
  readonly handled: Map<number, number>;
}

/** Counts calls under the names that etcd's metrics have (go-grpc-prometheus). */
export class GrpcCounters {
  readonly #methods = new Map<string, { labels: string; counters: CallCounters }>();

  /** @param path `/etcdserverpb.KV/Range` */
  of(path: string, type: string): CallCounters {
    const [, service, method] = path.split('/');
    const counters: CallCounters = { started: 0, handled: new Map() };
    const labels = `grpc_method="${method}",grpc_service="${service}",grpc_type="${type}"`;
    this.#methods.set(path, { labels, counters });
    return counters;
  }

  /** In Prometheus' text format. Methods that were never called are left out. */
  text(): string {
    const called = [...this.#methods.values()].filter(({ counters }) => counters.started > 0);
    const lines = [
      '# HELP grpc_server_started_total Calls begun.',
      '# TYPE grpc_server_started_total counter',
      ...called.map(({ labels, counters }) => `grpc_server_started_total{${labels}} ${counters.started}`),
      '# HELP grpc_server_handled_total Calls ended, by how.',
      '# TYPE grpc_server_handled_total counter',
      ...called.flatMap(({ labels, counters }) =>
        [...counters.handled].map(
          ([code, count]) =>
            `grpc_server_handled_total{grpc_code="${grpcCodeName(code)}",${labels}} ${count}`,
        ),
      ),
    ];
    return `${lines.join('\n')}\n`;
  }
}
