import { errors, StatusError, type StatusReason } from '@cloudless/kube/status';
import type { Status } from '@cloudless/kube/types/meta-v1';

/** No usable answer from a webhook: what its failurePolicy is about (upstream: webhookutil.ErrCallingWebhook). */
export class CallFailure extends Error {
  constructor(webhook: string, reason: string, cause?: unknown) {
    const text = `failed calling webhook ${JSON.stringify(webhook)}: ${reason}`;
    super(text, cause === undefined ? undefined : { cause });
    this.name = 'CallFailure';
  }

  /** As the client of the API sees it. */
  toStatus(): StatusError {
    return errors.internal(this.message, this);
  }
}

/** The refusal of a webhook as the client sees it (upstream: webhook/errors/statuserror.go). */
export function rejection(webhook: string, result: Status | undefined): StatusError {
  const { message = '', reason = '', details, code = 0 } = result ?? {};
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const why = message || reason;
  const text = why === '' ? `${denied} without explanation` : `${denied}: ${why}`;
  const known = Number.isInteger(code) && code >= 400 && code < 600 ? code : 400;
  return new StatusError(known, reason as StatusReason, text, details);
}

export const dryRunUnsupported = (webhook: string): StatusError =>
  errors.badRequest(`admission webhook ${JSON.stringify(webhook)} does not support dry run`);

export const requestTimedOut = (): StatusError =>
  errors.timeout('request did not complete within requested timeout');
