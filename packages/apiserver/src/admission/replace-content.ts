import type { KubeObject } from '@cloudless/kube/object';

/** Makes `target` equal to `source` and leaves it the same object: others hold it. */
export function replaceContent(target: KubeObject, source: KubeObject): void {
  const fields = target as unknown as Record<string, unknown>;
  for (const key in fields) if (!(key in source)) delete fields[key];
  Object.assign(target, source);
}
