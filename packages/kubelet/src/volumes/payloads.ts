import type {
  ConfigMap,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  Secret,
  Volume,
  VolumeProjection,
} from '@cloudless/kube/types/core-v1';
import { type DownwardAddresses, fieldValue, resourceValue } from '../environment/downward.ts';
import type { ReferencedObjects } from '../environment/variables.ts';
import type { Amounts } from '../resources/amounts.ts';
import type { Payload, ProjectedFile } from './atomic-writer.ts';
import { VolumeError } from './host-path.ts';

export interface ServiceAccountTokens {
  /** A token bound to the pod; kept and renewed at 80 % of its life. */
  token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string>;
}

export interface PayloadSources {
  objects: ReferencedObjects;
  tokens: ServiceAccountTokens;
  allocatable: Amounts;
  addresses: DownwardAddresses;
}

type Files = Map<string, ProjectedFile>;
const defaultFileMode = 0o644;
const defaultTokenSeconds = 3600;

/** The files of a configMap, secret, downwardAPI or projected volume; undefined for other kinds of volume. */
export async function payloadOf(
  pod: Pod,
  volume: Volume,
  sources: PayloadSources,
): Promise<Payload | undefined> {
  const namespace = pod.metadata.namespace ?? '';
  const files: Files = new Map();
  if (volume.configMap) {
    const { name = '', items, optional = false, defaultMode = defaultFileMode } = volume.configMap;
    const map = await sources.objects.configMap(namespace, name);
    addKeys(files, 'configmap', name, configMapData(map), items, optional, defaultMode);
    return files;
  }
  if (volume.secret) {
    const { secretName = '', items, optional = false, defaultMode = defaultFileMode } = volume.secret;
    const secret = await sources.objects.secret(namespace, secretName);
    addKeys(files, 'secret', secretName, secretData(secret), items, optional, defaultMode);
    return files;
  }
  if (volume.downwardAPI) {
    addDownward(
      files,
      pod,
      volume.downwardAPI.items ?? [],
      sources,
      volume.downwardAPI.defaultMode ?? defaultFileMode,
    );
    return files;
  }
  if (volume.projected) {
    const mode = volume.projected.defaultMode ?? defaultFileMode;
    for (const source of volume.projected.sources ?? [])
      await addProjection(files, pod, source, sources, mode);
    return files;
  }
  return undefined;
}

async function addProjection(
  files: Files,
  pod: Pod,
  source: VolumeProjection,
  sources: PayloadSources,
  mode: number,
): Promise<void> {
  const namespace = pod.metadata.namespace ?? '';
  if (source.configMap) {
    const { name = '', items, optional = false } = source.configMap;
    addKeys(
      files,
      'configmap',
      name,
      configMapData(await sources.objects.configMap(namespace, name)),
      items,
      optional,
      mode,
    );
  } else if (source.secret) {
    const { name = '', items, optional = false } = source.secret;
    addKeys(
      files,
      'secret',
      name,
      secretData(await sources.objects.secret(namespace, name)),
      items,
      optional,
      mode,
    );
  } else if (source.downwardAPI) {
    addDownward(files, pod, source.downwardAPI.items ?? [], sources, mode);
  } else if (source.serviceAccountToken) {
    const { audience, expirationSeconds = defaultTokenSeconds, path } = source.serviceAccountToken;
    const token = await sources.tokens.token(pod, audience, expirationSeconds);
    files.set(path, { data: Buffer.from(token), ...tokenOwnership(pod, mode) });
  } else {
    const kind = Object.keys(source)[0] ?? 'an empty source';
    throw new VolumeError(
      `projected volume source ${kind} is not supported by this kubelet; use configMap, secret, downwardAPI or serviceAccountToken`,
      { permanent: true },
    );
  }
}

/** A token is for its pod's user alone where that is one user, or for the pod's group (KEP-1205). */
function tokenOwnership(pod: Pod, mode: number): { mode: number; uid?: number } {
  if (pod.spec?.securityContext?.fsGroup !== undefined) return { mode: 0o600 };
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const users = new Set(
    containers.map((c) => c.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser),
  );
  const [only] = users;
  return users.size === 1 && only !== undefined ? { mode: 0o600, uid: only } : { mode };
}

type Data = Map<string, Uint8Array> | undefined;

function configMapData(map: ConfigMap | undefined): Data {
  if (!map) return undefined;
  return new Map([
    ...Object.entries(map.data ?? {}).map(([key, text]): [string, Uint8Array] => [key, Buffer.from(text)]),
    ...base64Entries(map.binaryData),
  ]);
}

const secretData = (secret: Secret | undefined): Data =>
  secret ? new Map(base64Entries(secret.data)) : undefined;

const base64Entries = (data: Record<string, string> | undefined): Array<[string, Uint8Array]> =>
  Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]);

function addKeys(
  files: Files,
  kind: 'configmap' | 'secret',
  name: string,
  data: Data,
  items: KeyToPath[] | undefined,
  optional: boolean,
  defaultMode: number,
): void {
  if (data === undefined) {
    if (optional) return;
    throw new VolumeError(`${kind} "${name}" not found`);
  }
  if (!items || items.length === 0) {
    for (const [key, value] of data) files.set(key, { data: value, mode: defaultMode });
    return;
  }
  for (const item of items) {
    const value = data.get(item.key);
    if (value === undefined) {
      if (optional) continue;
      throw new VolumeError(
        kind === 'secret'
          ? `references non-existent secret key: ${item.key}`
          : `configmap references non-existent config key: ${item.key}`,
      );
    }
    files.set(item.path, { data: value, mode: item.mode ?? defaultMode });
  }
}

function addDownward(
  files: Files,
  pod: Pod,
  items: DownwardAPIVolumeFile[],
  sources: PayloadSources,
  defaultMode: number,
): void {
  for (const item of items) {
    const text = item.fieldRef
      ? fieldValue(pod, item.fieldRef.fieldPath, sources.addresses)
      : item.resourceFieldRef
        ? resourceValue(pod, undefined, item.resourceFieldRef, sources.allocatable)
        : '';
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? defaultMode });
  }
}
