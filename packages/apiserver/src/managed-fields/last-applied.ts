/** How an object moves from client-side apply to server-side apply and stays usable by both (lastapplied….go). */
import { parseJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import { compareObjects } from '@cloudless/kube/structured-merge/compare';
import type { Conflict } from '@cloudless/kube/structured-merge/conflict';
import { PathSet } from '@cloudless/kube/structured-merge/path-set';
import { toFieldSet } from '@cloudless/kube/structured-merge/to-field-set';
import type { TypedObject } from '@cloudless/kube/structured-merge/updater';
import { canonicalJson, isMap } from '@cloudless/kube/structured-merge/value';
import { validateValue } from '@cloudless/kube/structured-merge/validate';

const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
/** Of all annotations together (apimachinery/pkg/api/validation). */
const maxAnnotationBytes = 256 * 1024;

/**
 * The conflicts that are left when kubectl takes over what it applied from the client and what still is as it
 * applied it.
 */
export function allowedByLastApplied(live: TypedObject, conflicts: readonly Conflict[]): readonly Conflict[] {
  const allowed = ownedByLastApplied(live);
  return conflicts.filter(({ path }) => !allowed.has(path));
}

function ownedByLastApplied(live: TypedObject): PathSet {
  const text = (live.value as KubeObject).metadata.annotations?.[annotation];
  if (!text) return PathSet.empty;
  try {
    const applied = parseJson(text);
    if (!isMap(applied) || applied['apiVersion'] !== live.version) return PathSet.empty;
    validateValue(live.type, applied);
    const { removed, modified, added } = compareObjects(live.type, applied, live.value);
    return toFieldSet(live.type, applied).difference(modified).difference(added).difference(removed);
  } catch {
    // What cannot be understood allows nothing.
    return PathSet.empty;
  }
}

/** Keeps the annotation of client-side apply up to date, where there is one: the object goes on to work with both. */
export function withLastApplied(object: KubeObject, patch: KubeObject): KubeObject {
  const annotations = object.metadata.annotations;
  if (!annotations?.[annotation]) return object;
  const { [annotation]: _before, ...others } = annotations;
  const applied = withoutAnnotation(patch);
  const text = `${canonicalJson(applied)}\n`;
  const all = { ...others, [annotation]: text };
  let bytes = 0;
  for (const [name, value] of Object.entries(all))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, annotations: bytes > maxAnnotationBytes ? others : all } };
}

function withoutAnnotation(patch: KubeObject): KubeObject {
  const annotations = patch.metadata?.annotations;
  if (!annotations?.[annotation]) return patch;
  const { [annotation]: _own, ...others } = annotations;
  return { ...patch, metadata: { ...patch.metadata, annotations: others } };
}
