import { parseJson } from '@cloudless/kube/codec/json';
import { StatusError, type StatusReason } from '@cloudless/kube/status';
import type { Status } from '@cloudless/kube/types/meta-v1';

/** Upstream shows no more of a body that is no object. */
const maxShownBytes = 2048;

const known: Readonly<Record<number, readonly [StatusReason, string]>> = {
  400: ['BadRequest', 'the server rejected our request for an unknown reason'],
  401: ['Unauthorized', 'the server has asked for the client to provide credentials'],
  404: ['NotFound', 'the server could not find the requested resource'],
  405: ['MethodNotAllowed', 'the server does not allow this method on the requested resource'],
  409: ['AlreadyExists', 'the server reported a conflict'],
  422: ['Invalid', 'the server rejected our request due to an error in our request'],
  429: ['TooManyRequests', 'the server has received too many requests and has asked us to try again later'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
  504: [
    'Timeout',
    'the server was unable to return a response in the time allotted, but may still be processing the request',
  ],
};

function statusIn(body: Buffer): Status | undefined {
  if (body[0] !== 0x7b) return undefined;
  try {
    const found = parseJson(body) as Status;
    return found.kind === 'Status' && found.status === 'Failure' ? found : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal of a POST by status code, as client-go words it (apimachinery/pkg/api/errors, NewGenericServerResponse). */
export function serverResponseError(code: number, body: Buffer, contentType: string): StatusError {
  const status = statusIn(body);
  if (status) return StatusError.fromStatus({ ...status, code: status.code ?? code });
  const isText = contentType === '' || contentType.startsWith('text/') || contentType.includes('json');
  const said = isText ? body.subarray(0, maxShownBytes).toString('utf8').trim() : 'unknown';
  const own = known[code];
  if (own) return new StatusError(code, own[0], own[1]);
  if (code === 403 || code === 406 || code === 415)
    return new StatusError(
      code,
      code === 403 ? 'Forbidden' : code === 406 ? 'NotAcceptable' : 'UnsupportedMediaType',
      said,
    );
  if (code >= 500) {
    const text = `an error on the server (${JSON.stringify(said)}) has prevented the request from succeeding`;
    return new StatusError(code, 'InternalError', text);
  }
  const text = `the server responded with the status code ${code} but did not return more information`;
  return new StatusError(code, '', text);
}
