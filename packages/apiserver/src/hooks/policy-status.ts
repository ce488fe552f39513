import { admissionregistration } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { ValidatingAdmissionPolicy } from '@cloudless/kube/types/admissionregistration-v1';
import type { PartContext, PostStartHook } from '../server/options.ts';

const { validatingadmissionpolicies: policies } = admissionregistration;
const fieldManager = 'validatingadmissionpolicy-status';

const isChecked = ({ metadata, status }: ValidatingAdmissionPolicy): boolean =>
  status?.observedGeneration !== undefined && status.observedGeneration >= (metadata.generation ?? 0);

/**
 * Keeps `status.typeChecking` of ValidatingAdmissionPolicies, each time their spec has changed (upstream:
 * controller/validatingadmissionpolicystatus; part of the API server here, which knows CEL and every kind's type).
 * Goes on until the server stops.
 */
export const policyStatusHook: PostStartHook = {
  name: 'validating-admission-policy-status',
  async run(context) {
    const { caches, signal } = context;
    const cache = caches.of(policies);
    const waiting = new Set<string>();
    let working = false;
    const work = async (): Promise<void> => {
      if (working) return;
      working = true;
      for (const name of waiting) {
        if (signal.aborted) break;
        waiting.delete(name);
        // oxlint-disable-next-line no-await-in-loop -- one after the other: nothing waits for it
        await check(context, name);
      }
      working = false;
    };
    const ask = (policy: ValidatingAdmissionPolicy): void => {
      if (isChecked(policy) || signal.aborted) return;
      waiting.add(policy.metadata.name ?? '');
      void work();
    };
    const stop = cache.subscribe(({ type, object }) => {
      if (type !== 'deleted') ask(object);
    });
    signal.addEventListener('abort', stop, { once: true });
    await cache.ready;
    for (const policy of cache.list()) ask(policy);
  },
};

async function check({ caches, client, catalogue, log }: PartContext, name: string): Promise<void> {
  const policy = caches.of(policies).get('', name);
  if (!policy || isChecked(policy)) return;
  try {
    const { typeWarnings } = await import('../admission/policy/type-check.ts');
    const warnings = typeWarnings(catalogue, policy);
    const typeChecking = warnings.length === 0 ? {} : { expressionWarnings: warnings };
    const observedGeneration = policy.metadata.generation ?? 0;
    const status = { ...policy.status, typeChecking, observedGeneration };
    await client.update(policies, { ...policy, status }, { subresource: 'status', fieldManager });
  } catch (error) {
    // A newer state of it comes by the cache.
    if (isConflict(error) || isNotFound(error)) return;
    log.warn({ policy: name, err: error }, 'the types of an admission policy could not be checked');
  }
}
