import { randomUUID } from 'node:crypto';
import { StatusError } from '@cloudless/kube/status';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { WebhookClients } from '../../webhook-client/client.ts';
import type { ShownRequest } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { CallFailure, dryRunUnsupported, rejection, requestTimedOut } from './errors.ts';
import type { Hook } from './hooks.ts';
import { encodeReview, InvalidReview, readAnswer, type ReviewAnswer, reviewVersionOf } from './review.ts';
import type { SelectionParts } from './select.ts';

export interface WebhookParts extends SelectionParts {
  clients: WebhookClients;
  clock: Clock;
  log: Logger;
}

/** All webhooks of a request together take no longer (apiserver/pkg/endpoints/handlers: requestTimeoutUpperBound). */
const requestTimeoutMs = 34_000;
const defaultTimeoutSeconds = 10;

const deadlines = new WeakMap<AdmissionRequest, number>();

/** Milliseconds left to a request since its first webhook; throws 504 when there are none. */
export function timeLeft(request: AdmissionRequest, clock: Clock): number {
  const now = clock.monotonicMs();
  let deadline = deadlines.get(request);
  if (deadline === undefined) deadlines.set(request, (deadline = now + requestTimeoutMs));
  if (deadline <= now) throw requestTimedOut();
  return deadline - now;
}

/**
 * Asks one webhook. Throws `CallFailure` when it gives no usable answer, and a `StatusError` when it refuses or must
 * not be asked. Warnings and audit annotations of the answer are handed on.
 */
export async function callWebhook(
  parts: WebhookParts,
  { webhook }: Hook,
  request: AdmissionRequest,
  shown: ShownRequest,
  mutating: boolean,
): Promise<ReviewAnswer> {
  const { name } = webhook;
  if (request.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun')
    throw dryRunUnsupported(name);
  const version = reviewVersionOf(webhook.admissionReviewVersions);
  if (version === undefined) {
    const why = 'webhook does not accept known AdmissionReview versions (v1, v1beta1)';
    throw new CallFailure(name, `could not create admission objects: ${why}`);
  }
  const uid = randomUUID();
  const body = encodeReview(version, uid, request, shown);
  const ownMs = (webhook.timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
  const timeoutMs = Math.min(ownMs, timeLeft(request, parts.clock));
  let answer: ReviewAnswer;
  try {
    answer = readAnswer(
      await parts.clients.post(webhook.clientConfig, body, { timeoutMs }),
      version,
      uid,
      mutating,
    );
  } catch (error) {
    // Too many wait for this webhook: that says nothing about this request, so its policy is not asked.
    if (error instanceof StatusError && error.code === 429 && error.details?.retryAfterSeconds) throw error;
    const why = error instanceof Error ? error.message : String(error);
    const kind =
      error instanceof InvalidReview ? 'received invalid webhook response' : 'failed to call webhook';
    throw new CallFailure(name, `${kind}: ${why}`, error);
  }
  for (const key in answer.auditAnnotations)
    request.annotate?.(`${name}/${key}`, answer.auditAnnotations[key] as string);
  for (const text of answer.warnings) request.warn(text);
  if (!answer.allowed) throw rejection(name, answer.result);
  return answer;
}

/** What a failed call means for the request: nothing where the webhook's failures are ignored, else 500. */
export function afterFailure(
  parts: WebhookParts,
  hook: Hook,
  request: AdmissionRequest,
  failure: CallFailure,
  annotation: string,
): void {
  const { name, failurePolicy } = hook.webhook;
  if (failurePolicy !== 'Ignore') throw failure.toStatus();
  parts.log.warn({ webhook: name, why: failure.message }, 'a webhook failed and is ignored');
  request.annotate?.(annotation, name);
}
