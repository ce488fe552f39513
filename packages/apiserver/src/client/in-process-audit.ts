import { randomUUID } from 'node:crypto';
import { errors, StatusError } from '@cloudless/kube/status';
import { pathOf } from '@cloudless/kube/object';
import type { UserInfo } from '@cloudless/kube/user';
import type { RequestAudit } from '../audit/event.ts';
import type { Audit } from '../audit/index.ts';
import { auditResult, requestReceived } from '../http/audited.ts';
import type { Encoder } from '../http/encode.ts';
import type { Registry } from '../registry/registry.ts';
import type { Result } from '../request/call.ts';
import type { ParsedRequest } from '../request/parse.ts';

/** Audits requests of clients in this process as if they had come over a connection. */
export class InProcessAudit {
  readonly #audit: Audit;
  readonly #registry: Registry;
  readonly #encoder: Encoder;

  constructor(audit: Audit, registry: Registry, encoder: Encoder) {
    this.#audit = audit;
    this.#registry = registry;
    this.#encoder = encoder;
  }

  /** Undefined when nothing of the request is wanted. */
  async begin(
    user: UserInfo,
    info: ParsedRequest,
    query: URLSearchParams,
  ): Promise<RequestAudit | undefined> {
    const { group, version, resource: plural, subresource, name, verb } = info;
    const namespaced = info.namespace !== '' && !(group === '' && plural === 'namespaces');
    const path = pathOf(
      { group, version, plural, kind: '', namespaced },
      { namespace: info.namespace, name: verb === 'list' || verb === 'watch' ? '' : name, subresource },
    );
    const search = query.toString();
    const audit = this.#audit.begin({
      auditId: randomUUID(),
      info,
      user,
      requestUri: search === '' ? path : `${path}?${search}`,
      sourceIps: ['127.0.0.1'],
      userAgent: 'cloudless/in-process',
      receivedMs: this.#registry.parts.clock.nowMs(),
    });
    if (audit) await requestReceived(audit);
    return audit;
  }

  /** A watch goes on: {@link ended} completes it. */
  async answered(audit: RequestAudit, result: Result): Promise<void> {
    auditResult(audit, result, this.#registry, this.#encoder);
    audit.code('code' in result ? result.code : 200);
    await write(
      audit,
      result.type === 'watch' || result.type === 'stream' ? 'ResponseStarted' : 'ResponseComplete',
    );
  }

  async failed(audit: RequestAudit, error: unknown): Promise<void> {
    const why = error instanceof Error ? error.message : String(error);
    audit.failed(error instanceof StatusError ? error : errors.internal(why, error), error);
    await write(audit, audit.panicked ? 'Panic' : 'ResponseComplete');
  }

  async ended(audit: RequestAudit): Promise<void> {
    await write(audit, 'ResponseComplete');
  }
}

/** The log tells of events that it cannot write. */
async function write(
  audit: RequestAudit,
  stage: 'ResponseStarted' | 'ResponseComplete' | 'Panic',
): Promise<void> {
  try {
    await audit.stage(stage);
  } catch {
    // The answer stands.
  }
}
