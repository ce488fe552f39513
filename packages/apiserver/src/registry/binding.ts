import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Binding, Pod } from '@cloudless/kube/types/core-v1';
import type { Status } from '@cloudless/kube/types/meta-v1';
import { cloneJson } from '../storage/codec.ts';
import type { WriteContext } from './context.ts';
import { timestamp } from './metadata.ts';
import type { Registry } from './registry.ts';
import { updateObject } from './update.ts';

const created: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

function validateBinding(binding: Binding, name: string): void {
  const { target, metadata } = binding;
  if (metadata?.name && metadata.name !== name)
    throw errors.badRequest('name in URL does not match name in Binding object');
  const causes = [];
  if (target?.kind && target.kind !== 'Node') {
    const message = `Unsupported value: ${JSON.stringify(target.kind)}: supported values: "Node", "<empty>"`;
    causes.push({ reason: 'FieldValueNotSupported', field: 'target.kind', message });
  }
  if (!target?.name) {
    causes.push({ reason: 'FieldValueRequired', field: 'target.name', message: 'Required value' });
  }
  if (causes.length > 0) throw errors.invalid({ group: '', kind: 'Binding' }, name, causes);
}

/**
 * `pods/NAME/binding`: gives the pod its node, adds the binding's annotations and labels, and marks it scheduled
 * (kubernetes/pkg/registry/core/pod/storage, BindingREST). Throws 409 when the pod has a node or is being deleted.
 */
export async function bindPod(registry: Registry, context: WriteContext, binding: Binding): Promise<Status> {
  const { name } = context;
  validateBinding(binding, name);
  const served = registry.servedOf(core.pods);
  const node = binding.target.name as string;
  const conflict = (why: string) => errors.conflict({ group: '', plural: 'pods/binding' }, name, why);
  await updateObject(
    registry,
    { ...context, served, subresource: 'binding', fieldManager: undefined },
    ({ object: old }) => {
      const { metadata } = binding;
      if (metadata?.uid && metadata.uid !== old.metadata.uid) {
        throw conflict(
          `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.metadata.uid ?? ''}`,
        );
      }
      const pod = cloneJson(old) as unknown as Pod;
      if (pod.metadata?.deletionTimestamp) {
        throw conflict(`pod ${name} is being deleted, cannot be assigned to a host`);
      }
      if (pod.spec?.nodeName)
        throw conflict(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
      if ((pod.spec?.schedulingGates?.length ?? 0) > 0)
        throw conflict(`pod ${name} has non-empty .spec.schedulingGates`);
      delete pod.metadata?.resourceVersion;
      return assign(pod, binding, node, registry.parts.clock.nowMs());
    },
  );
  return created;
}

function assign(pod: Pod, binding: Binding, node: string, nowMs: number): Pod {
  pod.spec = { ...pod.spec, nodeName: node } as NonNullable<Pod['spec']>;
  const { annotations, labels } = binding.metadata ?? {};
  if (annotations)
    pod.metadata = { ...pod.metadata, annotations: { ...pod.metadata?.annotations, ...annotations } };
  if (labels) pod.metadata = { ...pod.metadata, labels: { ...pod.metadata?.labels, ...labels } };
  const others = (pod.status?.conditions ?? []).filter((condition) => condition.type !== 'PodScheduled');
  const lastTransitionTime = timestamp(nowMs);
  const observedGeneration = pod.metadata?.generation;
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastTransitionTime,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  };
  pod.status = { ...pod.status, conditions: [...others, scheduled] };
  return pod;
}
