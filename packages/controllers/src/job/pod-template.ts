import type { Job } from '@cloudless/kube/types/batch-v1';
import type { Container, PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import { indexAnnotation } from './indexes.ts';
import { trackingFinalizer } from './state.ts';

const indexVariable = 'JOB_COMPLETION_INDEX';

function withIndex(container: Container): Container {
  if (container.env?.some((variable) => variable.name === indexVariable)) return container;
  const fieldPath = `metadata.labels['${indexAnnotation}']`;
  return {
    ...container,
    env: [...(container.env ?? []), { name: indexVariable, valueFrom: { fieldRef: { fieldPath } } }],
  };
}

/** The template of a Job's pod: tracked by a finalizer; of an Indexed Job, with its index wherever it may be read. */
export function jobPodTemplate(job: Job, index: number | undefined): PodTemplateSpec {
  const template = job.spec?.template;
  const metadata = template?.metadata;
  const finalizers = [...(metadata?.finalizers ?? []), trackingFinalizer];
  if (index === undefined) return { ...template, metadata: { ...metadata, finalizers } };
  const marked = { [indexAnnotation]: String(index) };
  const spec = template?.spec;
  return {
    ...template,
    metadata: {
      ...metadata,
      finalizers,
      annotations: { ...metadata?.annotations, ...marked },
      labels: { ...metadata?.labels, ...marked },
    },
    spec: {
      ...spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: (spec?.containers ?? []).map(withIndex),
      ...(spec?.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
    },
  };
}
