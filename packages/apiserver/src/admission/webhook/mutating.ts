import { parseJson, stringifyJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import { maxOperations } from '@cloudless/kube/patch/json-patch';
import { applyJsonPatch } from '@cloudless/kube/patch/patch';
import { errors } from '@cloudless/kube/status';
import type { MutatingWebhook } from '@cloudless/kube/types/admissionregistration-v1';
import { cloneJson, equalJson } from '../../storage/codec.ts';
import { type ShownRequest, ShownRequests } from '../matching/shown.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { replaceContent } from '../replace-content.ts';
import { afterFailure, callWebhook, type WebhookParts } from './call.ts';
import { CallFailure } from './errors.ts';
import type { Hook } from './hooks.ts';
import type { ReviewAnswer } from './review.ts';
import { selectHook } from './select.ts';

const pluginName = 'MutatingAdmissionWebhook';
const mutationPrefix = 'mutation.webhook.admission.k8s.io/';
const patchPrefix = 'patch.webhook.admission.k8s.io/';

/** What a second round needs to know (upstream: webhookReinvokeContext). */
interface Rounds {
  /** The object as this plugin left it. */
  output: KubeObject | undefined;
  /** Called so far, and to be called again when the object changes after them. */
  readonly called: Set<string>;
  readonly again: Set<string>;
}

/**
 * Asks every mutating webhook that wants the request, one after the other, each about what the one before made of the
 * object (upstream: plugin/webhook/mutating).
 */
export async function callMutating(
  parts: WebhookParts,
  hooks: ReadonlyArray<Hook<MutatingWebhook>>,
  request: AdmissionRequest,
): Promise<void> {
  const reinvocation = (request.reinvocation ??= { needed: false, again: false, state: new Map() });
  let rounds = reinvocation.state.get(pluginName) as Rounds | undefined;
  if (!rounds) {
    rounds = { output: undefined, called: new Set(), again: new Set() };
    reinvocation.state.set(pluginName, rounds);
  }
  if (reinvocation.again && !equalJson(rounds.output, request.object)) callAgain(rounds);
  const shown = new ShownRequests(request, parts.versions);
  let asked = false;
  for (const [index, hook] of hooks.entries()) {
    // oxlint-disable-next-line no-await-in-loop -- each sees what the one before made
    const resource = await selectHook(parts, hook, request, shown);
    if (!resource || (reinvocation.again && !rounds.again.has(hook.uid))) continue;
    asked = true;
    // oxlint-disable-next-line no-await-in-loop -- as above
    const changed = await askMutating(parts, hook, request, await shown.in(resource), index);
    if (changed) {
      shown.forget();
      callAgain(rounds);
      reinvocation.needed = true;
    }
    if (hook.webhook.reinvocationPolicy === 'IfNeeded') rounds.called.add(hook.uid);
  }
  if (asked && !reinvocation.again) rounds.output = cloneJson(request.object);
}

/** Asks one webhook and takes over its patch; whether the object changed. */
async function askMutating(
  parts: WebhookParts,
  hook: Hook,
  request: AdmissionRequest,
  shown: ShownRequest,
  index: number,
): Promise<boolean> {
  const place = `round_${request.reinvocation?.again === true ? 1 : 0}_index_${index}`;
  const { configuration, webhook } = hook;
  let changed = false;
  try {
    const answer = await callWebhook(parts, hook, request, shown, true);
    changed = await takeOver(parts, hook, request, shown, answer, place);
    return changed;
  } catch (error) {
    if (!(error instanceof CallFailure)) throw error;
    afterFailure(parts, hook, request, error, `failed-open.${mutationPrefix}${place}`);
    return false;
  } finally {
    const value = { configuration, webhook: webhook.name, mutated: changed };
    request.annotate?.(mutationPrefix + place, JSON.stringify(value));
  }
}

async function takeOver(
  parts: WebhookParts,
  { configuration, webhook }: Hook,
  request: AdmissionRequest,
  shown: ShownRequest,
  { patch: bytes, patchType }: ReviewAnswer,
  place: string,
): Promise<boolean> {
  if (!bytes) return false;
  const { name } = webhook;
  const patch = operationsIn(bytes, name);
  if (patch.length === 0) return false;
  if (!request.object || !shown.object) {
    const why = `admission webhook ${JSON.stringify(name)} attempted to modify the object, which is not supported for this operation`;
    throw errors.internal(why);
  }
  if (patchType !== 'JSONPatch')
    throw new CallFailure(name, `unsupported patch type ${JSON.stringify(patchType ?? '')}`);
  const before = request.object;
  let after: KubeObject;
  try {
    const patched = applyJsonPatch(shown.object, patch);
    const at = { resource: shown.resource, subresource: request.subresource };
    after = await parts.versions.adopt(patched, at, before);
  } catch (error) {
    throw errors.internal(error instanceof Error ? error.message : String(error), error);
  }
  request.annotate?.(patchPrefix + place, stringifyJson({ configuration, webhook: name, patch, patchType }));
  if (equalJson(before, after)) return false;
  replaceContent(before, after);
  return true;
}

/** The operations of an answer's patch. Throws `CallFailure`. */
function operationsIn(bytes: Buffer, webhook: string): Operations {
  const failed = (why: string): CallFailure =>
    new CallFailure(webhook, `received undecodable patch in webhook response: ${why}`);
  let patch: unknown;
  try {
    patch = parseJson(bytes);
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
  if (!isOperations(patch)) throw failed('it is no list of operations (RFC 6902)');
  if (patch.length > maxOperations)
    throw failed(`it has ${patch.length} operations; at most ${maxOperations} are allowed`);
  return patch;
}

function callAgain({ called, again }: Rounds): void {
  for (const uid of called) again.add(uid);
  called.clear();
}

type Operations = Array<Record<string, unknown>>;

const isOperations = (patch: unknown): patch is Operations =>
  Array.isArray(patch) &&
  patch.every(
    (operation) => typeof operation === 'object' && operation !== null && !Array.isArray(operation),
  );
