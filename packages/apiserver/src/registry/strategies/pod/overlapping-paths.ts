/** Files of one volume that hide each other (upstream: warningsForOverlappingVirtualPaths). */
import { goQuote } from '@cloudless/kube/field';
import type { Volume, VolumeProjection } from '@cloudless/kube/types/core-v1';

interface Placed {
  readonly path: string;
  /** Where a part of a projected volume comes from; '' in other volumes. */
  readonly source: string;
}

const shown = ({ path, source }: Placed): string =>
  source === '' ? goQuote(path) : `${goQuote(path)} (${source})`;

const contains = (outer: string, inner: string): boolean => `${inner}/`.startsWith(`${outer}/`);

/** `"a/b" with "a"` for every file that lies at, above or below an earlier one. */
function overlaps(files: readonly Placed[]): string[] {
  const found: string[] = [];
  const seen: Placed[] = [];
  for (const file of files) {
    const one = { ...file, path: file.path.replace(/\/+$/, '') };
    for (const other of one.path === '' ? [] : seen)
      if (other.path !== '' && (contains(one.path, other.path) || contains(other.path, one.path)))
        found.push(`${shown(one)} with ${shown(other)}`);
    seen.push(one);
  }
  return found;
}

const placed = (items: ReadonlyArray<{ path?: string }> | undefined, source: string): Placed[] =>
  (items ?? []).map(({ path = '' }) => ({ path, source }));

/** The files of one source; upstream looks at the first kind that is set. */
function filesOf(source: VolumeProjection): Placed[] {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  if (configMap?.items) return placed(configMap.items, `ConfigMap ${goQuote(configMap.name ?? '')}`);
  if (secret?.items) return placed(secret.items, `Secret ${goQuote(secret.name ?? '')}`);
  if (downwardAPI?.items) return placed(downwardAPI.items, 'DownwardAPI');
  return serviceAccountToken ? placed([serviceAccountToken], 'ServiceAccountToken') : [];
}

const isEmpty = (source: VolumeProjection): boolean => Object.values(source).every((each) => each == null);

function warningsOfVolume(volume: Volume): string[] {
  const { name, configMap, secret, downwardAPI, projected } = volume;
  const of = (what: string, files: readonly Placed[]): string[] =>
    overlaps(files).map((text) => `volume ${goQuote(name)} (${what}): overlapping paths: ${text}`);
  const sources = projected?.sources ?? [];
  return [
    ...of(`ConfigMap ${goQuote(configMap?.name ?? '')}`, placed(configMap?.items, '')),
    ...of(`Secret ${goQuote(secret?.secretName ?? '')}`, placed(secret?.items, '')),
    ...of('DownwardAPI', placed(downwardAPI?.items, '')),
    ...sources.filter(isEmpty).map(() => `volume ${goQuote(name)} (Projected) has no sources provided`),
    ...of('Projected', sources.flatMap(filesOf)),
  ];
}

export const overlapWarnings = (volumes: readonly Volume[] | undefined): string[] =>
  (volumes ?? []).flatMap(warningsOfVolume);
