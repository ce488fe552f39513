import { fieldErrors, FieldPath } from '@cloudless/kube/field';
import type { Pod, PodSpec } from '@cloudless/kube/types/core-v1';
import type { Strategy, StrategyContext } from '../../strategy.ts';
import { defaultPod, dropDisabledPodFields } from './defaults.ts';
import { qosClass } from './qos.ts';
import { podTable } from './table.ts';
import { validatePodCreate } from './validate-pod.ts';
import {
  validateEphemeralUpdate,
  validatePodStatusUpdate,
  validatePodUpdate,
  validateResize,
} from './validate-update.ts';
import { podWarnings } from './warnings.ts';

/** A pod starts `Pending`; one with scheduling gates says so (upstream: pkg/registry/core/pod/strategy.go). */
function prepareForCreate(context: StrategyContext, pod: Pod): void {
  pod.metadata.generation = 1;
  pod.status = { phase: 'Pending', qosClass: qosClass(pod) };
  if (pod.spec?.schedulingGates?.length) {
    pod.status.conditions = [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'SchedulingGated',
        message: 'Scheduling is blocked due to non-empty scheduling gates',
        lastTransitionTime: new Date(context.nowMs).toISOString().replace(/\.\d+Z$/, 'Z'),
      },
    ];
  }
}

function keepSpec(pod: Pod, old: Pod, changed: (spec: PodSpec, sent: PodSpec) => void): void {
  const sent = pod.spec ?? { containers: [] };
  const spec = structuredClone(old.spec ?? { containers: [] });
  changed(spec, sent);
  pod.spec = spec;
  pod.status = structuredClone(old.status ?? {});
}

/** `/ephemeralcontainers` and `/resize` change their part of the spec; what else was sent is ignored. */
function prepareForUpdate(context: StrategyContext, pod: Pod, old: Pod): void {
  if (context.subresource === 'ephemeralcontainers') {
    keepSpec(pod, old, (spec, sent) => {
      if (sent.ephemeralContainers) spec.ephemeralContainers = sent.ephemeralContainers;
      else delete spec.ephemeralContainers;
    });
  } else if (context.subresource === 'resize') {
    keepSpec(pod, old, (spec, sent) => {
      for (const name of ['containers', 'initContainers'] as const) {
        const list = sent[name];
        if (list && spec[name]?.length !== list.length) spec[name] = list;
        spec[name]?.forEach((container, i) => {
          const now = list?.[i];
          if (!now) return;
          container.name = now.name;
          if (now.resources) container.resources = now.resources;
          if (now.resizePolicy) container.resizePolicy = now.resizePolicy;
        });
      }
    });
  } else if (context.subresource === '') {
    // Once bound, the service account's token volume and the like stay as admitted; the QoS class never changes.
    if (pod.status && old.status?.qosClass) pod.status.qosClass = old.status.qosClass;
    markUngated(context, pod, old);
  } else if (context.subresource === 'status') {
    pod.status ??= {};
    pod.status.qosClass ??= old.status?.qosClass;
    if (pod.status.qosClass === undefined) delete pod.status.qosClass;
    // Owner references and deletion are not for a kubelet to change.
    if (old.metadata.ownerReferences)
      pod.metadata.ownerReferences = structuredClone(old.metadata.ownerReferences);
    else delete pod.metadata.ownerReferences;
  }
}

/** When the last gate goes, the condition that named it goes too. */
function markUngated(_context: StrategyContext, pod: Pod, old: Pod): void {
  if (!old.spec?.schedulingGates?.length || pod.spec?.schedulingGates?.length) return;
  const conditions = pod.status?.conditions?.filter((one) => one.reason !== 'SchedulingGated');
  if (pod.status && conditions) pod.status.conditions = conditions;
}

/**
 * How long a pod has to stop: what was asked for, else its own period; one that never ran or has ended, none
 * (upstream: podStrategy.CheckGracefulDelete).
 */
function gracePeriodSeconds(pod: Pod, requested: number | undefined): number {
  const status = pod.status;
  if (!pod.spec?.nodeName) return 0;
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return 0;
  // A bigint where it does not fit a number.
  // oxlint-disable-next-line typescript/no-unnecessary-type-conversion
  const period = requested ?? Number(pod.spec.terminationGracePeriodSeconds ?? 30);
  return period < 0 ? 1 : period;
}

const nodeNamePath = FieldPath.of('spec', 'nodeName');

/** Upstream: pkg/registry/core/pod. */
export const pod: Strategy<Pod> = {
  defaults: defaultPod,
  dropDisabledFields(object) {
    dropDisabledPodFields(object.spec);
    delete object.status?.nodeAllocatableResourceClaimStatuses;
  },
  prepareForCreate,
  prepareForUpdate,
  validate: (_context, object) => validatePodCreate(object),
  validateUpdate(context, object, old) {
    // The scheduler's binding sets the node's name, which nothing else may.
    if (context.subresource === 'binding') return [];
    if (context.subresource === 'ephemeralcontainers') return validateEphemeralUpdate(object, old);
    if (context.subresource === 'resize') return validateResize(object, old);
    return validatePodUpdate(object, old);
  },
  validateStatusUpdate(_context, object, old) {
    const wrong = validatePodStatusUpdate(object, old);
    if (object.spec?.nodeName !== old.spec?.nodeName) {
      wrong.push(fieldErrors.forbidden(nodeNamePath, 'may not be changed directly'));
    }
    return wrong;
  },
  warnings: (_context, object) => podWarnings(object),
  gracePeriodSeconds,
  table: podTable,
  indexedField: 'spec.nodeName',
  selectableFields: {
    'spec.nodeName': (object) => object.spec?.nodeName ?? '',
    'spec.restartPolicy': (object) => object.spec?.restartPolicy ?? '',
    'spec.schedulerName': (object) => object.spec?.schedulerName ?? '',
    'spec.serviceAccountName': (object) => object.spec?.serviceAccountName ?? '',
    'spec.hostNetwork': (object) => String(object.spec?.hostNetwork ?? false),
    'status.phase': (object) => object.status?.phase ?? '',
    'status.podIP': (object) => object.status?.podIPs?.[0]?.ip ?? object.status?.podIP ?? '',
    'status.podIPs': (object) => (object.status?.podIPs ?? []).map((one) => one.ip).join(','),
    'status.nominatedNodeName': (object) => object.status?.nominatedNodeName ?? '',
  },
};
