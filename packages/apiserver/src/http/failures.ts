import { type EtcdError, grpcCode } from '@cloudless/kube/etcd/store';
import { errors, StatusError } from '@cloudless/kube/status';

/** The datastore's errors as upstream shows them. */
export function storeFailure(error: EtcdError): StatusError {
  switch (error.code) {
    case grpcCode.unavailable:
      return errors.unavailable(`the datastore is not available: ${error.message}`, error);
    case grpcCode.deadlineExceeded:
      return errors.timeout(`the datastore did not answer in time: ${error.message}`);
    case grpcCode.resourceExhausted:
      return new StatusError(
        500,
        'InternalError',
        `the datastore has no room: ${error.message}`,
        undefined,
        error,
      );
    default:
      return new StatusError(500, 'InternalError', error.message, undefined, error);
  }
}

/** A whole HTTP/1.1 response for a connection that asked for an upgrade. */
export function plainResponse(failure: StatusError): string {
  const body = `${JSON.stringify(failure.toStatus())}\n`;
  return [
    `HTTP/1.1 ${failure.code} ${failure.reason || 'Error'}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
