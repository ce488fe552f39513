/** gRPC's status codes by number, as Go's `codes.Code` prints them (grpc/doc/statuscodes.md). */
const names = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** The name of a status code as metrics and messages of Go programs have it; of one unknown, its number. */
export const grpcCodeName = (code: number): string => names[code] ?? String(code);
