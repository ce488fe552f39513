import type { Pod } from '@cloudless/kube/types/core-v1';

export const indexAnnotation = 'batch.kubernetes.io/job-completion-index';

/** Index of a pod of an Indexed Job; undefined when it has none. */
export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Reads `1,3-5,7`; what lies at or beyond `below` is left out, as is what cannot be read. */
export function parseIndexes(text: string | undefined, below: number): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!range) continue;
    const last = Math.min(Number(range[2] ?? range[1]), below - 1);
    for (let index = Number(range[1]); index <= last; index++) indexes.add(index);
  }
  return indexes;
}

/** Writes `1,3-5,7`: two neighbours are `1,2`, from three on they are a range (upstream: indexed_job_utils.go). */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length;) {
    const first = sorted[i] as number;
    let last = first;
    while (sorted[i + 1] === last + 1) last = sorted[++i] as number;
    i++;
    if (first === last) parts.push(String(first));
    else parts.push(last === first + 1 ? `${first},${last}` : `${first}-${last}`);
  }
  return parts.join(',');
}

/** The first `count` indexes below `completions` that are neither done nor being worked on. */
export function pendingIndexes(completions: number, busy: ReadonlySet<number>, count: number): number[] {
  const found: number[] = [];
  for (let index = 0; index < completions && found.length < count; index++)
    if (!busy.has(index)) found.push(index);
  return found;
}
