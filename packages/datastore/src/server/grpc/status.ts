import { EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import { WireError } from '../codec/reader.ts';

/** How a call ended. */
export interface Status {
  readonly code: number;
  readonly message: string;
}

/** The status of a failed call: etcd's own code and text where the engine gave one. */
export function statusOf(error: unknown): Status {
  if (error instanceof EtcdError) return { code: error.code, message: error.message };
  if (error instanceof WireError)
    return { code: grpcCode.internal, message: `grpc: error unmarshalling request: ${error.message}` };
  return { code: grpcCode.unknown, message: error instanceof Error ? error.message : String(error) };
}

/** `grpc-message` as headers carry it: printable ASCII, the rest percent-encoded (gRPC over HTTP/2, Status-Message). */
export function encodeMessage(message: string): string {
  if (!/[^\x20-\x24\x26-\x7e]/.test(message)) return message;
  let encoded = '';
  for (const byte of Buffer.from(message)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout` header (`10S`, `500m`); undefined when it is none. */
export function timeoutMs(header: string): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return digits === undefined ? undefined : Number(digits) * (unitMs[unit as string] as number);
}
