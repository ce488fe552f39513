import type { ValidatingWebhook } from '@cloudless/kube/types/admissionregistration-v1';
import { type ShownRequest, ShownRequests } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { afterFailure, callWebhook, timeLeft, type WebhookParts } from './call.ts';
import { CallFailure } from './errors.ts';
import type { Hook } from './hooks.ts';
import { selectHook } from './select.ts';

const failedOpen = 'failed-open.validating.webhook.admission.k8s.io/';

/** Asks every validating webhook that wants the request, all at once (upstream: plugin/webhook/validating). */
export async function callValidating(
  parts: WebhookParts,
  hooks: ReadonlyArray<Hook<ValidatingWebhook>>,
  request: AdmissionRequest,
): Promise<void> {
  const shown = new ShownRequests(request, parts.versions);
  const chosen: Array<{ hook: Hook; shown: ShownRequest }> = [];
  for (const hook of hooks) {
    // oxlint-disable-next-line no-await-in-loop -- in order: the first that cannot be judged decides
    const resource = await selectHook(parts, hook, request, shown);
    // oxlint-disable-next-line no-await-in-loop -- each version is made once
    if (resource) chosen.push({ hook, shown: await shown.in(resource) });
  }
  if (chosen.length === 0) return;
  timeLeft(request, parts.clock);
  const asked = await Promise.allSettled(
    chosen.map(async (each, index) => {
      try {
        await callWebhook(parts, each.hook, request, each.shown, false);
      } catch (error) {
        if (!(error instanceof CallFailure)) throw error;
        afterFailure(parts, each.hook, request, error, `${failedOpen}round_0_index_${index}`);
      }
    }),
  );
  const refused = asked.find((answer) => answer.status === 'rejected');
  if (refused) throw refused.reason;
}
