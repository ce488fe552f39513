import { parseJson, stringifyJson } from '@cloudless/kube/codec/json';
import { StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import { type RequestAudit, withoutManagedFields } from '../audit/event.ts';
import type { Audit } from '../audit/index.ts';
import type { Stage } from '../audit/policy.ts';
import { sourceIps } from '../audit/source-ips.ts';
import type { Registry } from '../registry/registry.ts';
import type { Result } from '../request/call.ts';
import type { RequestInfo } from '../request/info.ts';
import { jsonIn, objectIn } from '../registry/view.ts';
import { peerAddress, sentCertificate } from './credentials.ts';
import type { Encoder } from './encode.ts';
import { negotiate } from './negotiate.ts';
import type { Request, Response } from './respond.ts';

/** Begins the audit of a request; undefined when nothing of it is wanted. */
export function beginAudit(
  audit: Audit,
  request: Request,
  known: { auditId: string; info: RequestInfo; user: UserInfo | undefined; receivedMs: number },
): RequestAudit | undefined {
  const { headers } = request;
  return audit.begin({
    ...known,
    requestUri: request.url ?? '/',
    sourceIps: sourceIps(headers, peerAddress(request)),
    userAgent: headers['user-agent'] ?? '',
  });
}

/** Writes the first event. Throws 500 where a request must not go on unaudited. */
export async function requestReceived(audit: RequestAudit): Promise<void> {
  try {
    await audit.stage('RequestReceived');
  } catch (error) {
    throw new StatusError(
      500,
      'InternalError',
      'Internal error occurred: failed to store audit event',
      undefined,
      error,
    );
  }
}

/** Writes an event that nobody waits for. When it cannot be written, the audit's own log has told of it. */
export async function tell(audit: RequestAudit, stage: Stage): Promise<void> {
  try {
    await audit.stage(stage);
  } catch {
    // The answer is on its way, whatever becomes of its record.
  }
}

/** Which ways of authenticating were tried and failed. */
export function failedMethods(request: Request): string {
  const [scheme = '', value = ''] = (request.headers.authorization ?? '').trim().split(' ');
  const tried = [
    ...(scheme.toLowerCase() === 'basic' ? ['basic'] : []),
    ...(scheme.toLowerCase() === 'bearer' && value !== '' ? ['bearer'] : []),
    ...(sentCertificate(request) ? ['x509'] : []),
  ];
  return tried.length === 0
    ? 'Authentication failed, no credentials provided'
    : `Authentication failed, attempted: ${tried.join(', ')}`;
}

/** Tells of the head of a long-running answer, whoever writes it. */
export function onHead(response: Response, told: (code: number) => void): void {
  const writable = response as { writeHead(code: number, ...rest: unknown[]): unknown };
  const original = writable.writeHead.bind(response);
  let first = true;
  writable.writeHead = (code, ...rest) => {
    if (first) told(code);
    first = false;
    return original(code, ...rest);
  };
}

/** Takes down what a request is answered with, as far as it is wanted. */
export function auditResult(audit: RequestAudit, result: Result, registry: Registry, encoder: Encoder): void {
  if (result.type === 'object') return audit.responseObject(result.object);
  if (!audit.wantsResponse) return;
  if (result.type === 'entry') {
    const { entry, served } = result;
    if (audit.omitsManagedFields) audit.responseObject(objectIn(entry, served.resource));
    else audit.responseJson(jsonIn(entry, served.resource));
  }
  if (result.type !== 'list') return;
  const { list, served } = result;
  const plain = negotiate(undefined, 'plain');
  const chunks = encoder.list(list, served, registry.open(served.resource), plain, 'None');
  const json = Buffer.concat([...chunks]);
  if (!audit.omitsManagedFields) return audit.responseJson(json);
  audit.responseJson(Buffer.from(stringifyJson(withoutManagedFields(parseJson(json) as object))));
}
