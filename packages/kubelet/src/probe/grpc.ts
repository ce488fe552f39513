import grpc from '@grpc/grpc-js';
import type { Verdict } from './handlers.ts';

const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** gRPC health check (grpc.health.v1.Health/Check) without TLS, as upstream's probe. */
export function checkGrpcHealth(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
): Promise<Verdict> {
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const client = new grpc.Client(target, grpc.credentials.createInsecure(), {
    'grpc.primary_user_agent': 'kube-probe/1.36',
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
  });
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      (name: string) => encodeRequest(name),
      decodeStatus,
      service,
      new grpc.Metadata(),
      { deadline: Date.now() + timeoutMs },
      (error, status) => {
        client.close();
        if (error) resolve({ result: 'failure', message: failureText(error, target, timeoutMs) });
        else if (status === 1) resolve({ result: 'success', message: 'service healthy' });
        else {
          const name = statusNames[status ?? 0] ?? String(status);
          resolve({ result: 'failure', message: `service unhealthy (responded with "${name}")` });
        }
      },
    );
  });
}

function failureText(error: grpc.ServiceError, target: string, timeoutMs: number): string {
  if (error.code === grpc.status.UNIMPLEMENTED) {
    return `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}`;
  }
  if (error.code === grpc.status.DEADLINE_EXCEEDED || error.code === grpc.status.UNAVAILABLE) {
    return `timeout: failed to connect service "${target}" within ${timeoutMs / 1000}s: ${error.details}`;
  }
  return `error: health rpc failed: ${error.details}`;
}

/** HealthCheckRequest: field 1, a string. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service);
  if (name.length === 0) return Buffer.alloc(0);
  if (name.length > 127) throw new RangeError('the service name of a grpc probe may have at most 127 bytes');
  return Buffer.concat([Buffer.from([0x0a, name.length]), name]);
}

/** HealthCheckResponse: field 1, a small enum; absent means UNKNOWN. */
const decodeStatus = (bytes: Buffer): number => (bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0);
