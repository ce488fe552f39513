import { durationMs } from '@cloudless/kube/duration';
import type { KubeObject } from '@cloudless/kube/object';

/**
 * Prefixes of external-dns's annotations: the one since v0.22, and the one before, which is still what most objects have.
 * Where an object has both, the newer one counts.
 */
const prefixes = ['external-dns.kubernetes.io/', 'external-dns.alpha.kubernetes.io/'] as const;

/** What the annotation `controller` must be, where an object has it. */
const ourController = 'dns-controller';
const maxTtlSeconds = 2 ** 31 - 1;

export type AnnotationName =
  | 'access'
  | 'controller'
  | 'endpoints-type'
  | 'gateway-hostname-source'
  | 'hostname'
  | 'ingress-hostname-source'
  | 'internal-hostname'
  | 'set-identifier'
  | 'target'
  | 'ttl';

/** The value of an annotation under either prefix. */
export function annotation(object: KubeObject, name: AnnotationName): string | undefined {
  const annotations = object.metadata.annotations;
  if (!annotations) return undefined;
  for (const prefix of prefixes) {
    const value = annotations[prefix + name];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The entries of a comma-separated annotation; blanks mean nothing, wherever they are. */
export function listAnnotation(object: KubeObject, name: AnnotationName): string[] {
  const value = annotation(object, name);
  if (value === undefined) return [];
  return value
    .replace(/\s/g, '')
    .split(',')
    .filter((entry) => entry !== '');
}

/** Whether the object is ours: its annotation `controller`, if it has one, says so. */
export function isForUs(object: KubeObject): boolean {
  const controller = annotation(object, 'controller');
  return controller === undefined || controller === ourController;
}

/**
 * The TTL that an object asks for: seconds or a duration of Go (`10m`), a fraction of a second left out. Undefined for none,
 * 0 and what is no TTL (upstream: annotations.TTLFromAnnotations).
 */
export function ttlAnnotation(object: KubeObject): number | undefined {
  const text = annotation(object, 'ttl');
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : durationMs(text);
  const seconds = ms === undefined ? 0 : Math.floor(ms / 1000);
  return seconds >= 1 && seconds <= maxTtlSeconds ? seconds : undefined;
}

/** What every endpoint of an object has from its annotations. */
export function settingsOf(object: KubeObject): {
  ttlSeconds: number | undefined;
  setIdentifier: string | undefined;
} {
  const setIdentifier = annotation(object, 'set-identifier');
  return {
    ttlSeconds: ttlAnnotation(object),
    setIdentifier: setIdentifier === '' ? undefined : setIdentifier,
  };
}
