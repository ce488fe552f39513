import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import { Reader } from '../codec/reader.ts';
import { BackwardWriter } from '../codec/writer.ts';
import type { Method } from '../grpc/method.ts';

/** HealthCheckResponse.ServingStatus SERVING (grpc/health/v1/health.proto). */
const serving = 1;

/** grpc.health.v1.Health, which gRPC probes ask, for the server as a whole as etcd has it. */
export function healthService(): Record<string, Method> {
  return {
    Check: {
      type: 'unary',
      call(request) {
        const reader = new Reader(request);
        let service = '';
        for (let field = reader.next(); field !== 0; field = reader.next()) {
          if (field === 1) service = Buffer.from(reader.bytes()).toString();
          else reader.skip();
        }
        if (service !== '') throw new EtcdError(grpcCode.notFound, 'unknown service');
        const writer = new BackwardWriter(8);
        writer.integer(1, serving);
        return writer.frame();
      },
    },
  };
}
