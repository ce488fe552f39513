/**
 * The audit log: who did what, as a policy asks for it, in `audit.k8s.io/v1` Events.
 *
 * ```ts
 * const audit = await openAudit({ policyFile, logPath, mode: 'batch', rotation, clock, log });
 * const request = audit.begin(received); // undefined: the policy does not want this request
 * ```
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { UserInfo } from '@cloudless/kube/user';
import { parseYaml } from '../http/lazy-codecs.ts';
import { type EventSink, type Received, RequestAudit } from './event.ts';
import { LogBackend, type Mode } from './log-backend.ts';
import { AuditPolicyError, extentBy, type Policy, readPolicy } from './policy.ts';
import { isFolder, RotatingFile, type Rotation } from './rotating-file.ts';

export interface AuditOptions {
  readonly policyFile: string;
  /** `-`: standard output. */
  readonly logPath: string;
  readonly mode?: Mode;
  readonly rotation?: Partial<Rotation>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The audit log of one server. */
export interface Audit {
  /** Undefined when the policy wants nothing of the request. */
  begin(received: Received): RequestAudit | undefined;
  metrics(): string;
  close(): Promise<void>;
}

/** A log that cannot be written. The message names it and says why. */
export class AuditLogError extends Error {
  constructor(path: string, why: string, cause?: unknown) {
    super(`the audit log ${path} cannot be written: ${why}`, cause === undefined ? undefined : { cause });
    this.name = 'AuditLogError';
  }
}

const nobody: UserInfo = { name: '', groups: [] };

/** An audit log by a policy into a sink. */
export function auditBy(policy: Policy, sink: EventSink, nowMs: () => number): Pick<Audit, 'begin'> {
  const extentOf = extentBy(policy);
  return {
    begin(received) {
      const extent = extentOf({ ...received.info, user: received.user ?? nobody });
      return extent.level === 'None' ? undefined : new RequestAudit(extent, received, sink, nowMs);
    },
  };
}

async function policyIn(path: string, log: Logger): Promise<Policy> {
  const failed = (why: string): AuditPolicyError =>
    new AuditPolicyError(`the audit policy in ${path} cannot be used: ${why}`);
  let document: unknown;
  try {
    document = parseYaml(await readFile(path, 'utf8'), (text) =>
      log.warn({ policy: path, problem: text }, 'the audit policy repeats a field'),
    );
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
  try {
    return readPolicy(document, (problem) =>
      log.warn({ policy: path, problem }, 'the audit policy has a field that means nothing'),
    );
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/** Reads the policy and opens the log. Throws when the policy is wrong or the log cannot be written. */
export async function openAudit(options: AuditOptions): Promise<Audit> {
  const { clock, log, logPath } = options;
  const nowMs = (): number => clock.nowMs();
  const policy = await policyIn(options.policyFile, log);
  if (logPath !== '-' && (await isFolder(logPath)))
    throw new AuditLogError(logPath, 'it is a folder; name a file in it');
  const { maxAgeDays = 0, maxBackups = 0, maxSizeMib = 0 } = options.rotation ?? {};
  const file =
    logPath === '-'
      ? standardOutput
      : new RotatingFile(logPath, { maxAgeDays, maxBackups, maxSizeMib }, nowMs);
  try {
    if (file instanceof RotatingFile) await file.open();
  } catch (error) {
    throw new AuditLogError(logPath, error instanceof Error ? error.message : String(error), error);
  }
  const backend = new LogBackend({ writer: file, mode: options.mode ?? 'batch', clock, log });
  return {
    ...auditBy(policy, backend, nowMs),
    metrics: () => metricsText(backend),
    close: () => backend.close(),
  };
}

const standardOutput = {
  append: (bytes: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
    }),
  close: (): Promise<void> => Promise.resolve(),
};

const metricsText = ({ written, lost }: LogBackend): string =>
  [
    '# HELP apiserver_audit_event_total Events of the audit log that were written.',
    '# TYPE apiserver_audit_event_total counter',
    `apiserver_audit_event_total ${written}`,
    '# HELP apiserver_audit_error_total Events of the audit log that were lost.',
    '# TYPE apiserver_audit_error_total counter',
    `apiserver_audit_error_total{plugin="log"} ${lost}`,
    '',
  ].join('\n');
