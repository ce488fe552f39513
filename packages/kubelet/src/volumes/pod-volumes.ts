import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '@cloudless/kube/types/core-v1';
import { amountOf } from '../resources/amounts.ts';
import { writeAtomically, type Payload } from './atomic-writer.ts';
import { prepareHostPath, VolumeError } from './host-path.ts';
import { podFolders, podsFolder } from './layout.ts';
import type { Mounts } from './mounts.ts';
import { belongsToGroup, giveToGroup } from './ownership.ts';
import { payloadOf, type PayloadSources } from './payloads.ts';

/** A volume ready to be mounted into containers. */
export interface ReadyVolume {
  path: string;
  /** Nobody may write to it, whatever the mount says. */
  readOnly: boolean;
  /** Group that a PersistentVolume asks its users to have. */
  group?: number | undefined;
}

/** Claims and volumes, asked for by name. */
export interface ClaimLookup {
  claim(namespace: string, name: string): Promise<PersistentVolumeClaim | undefined>;
  volume(name: string): Promise<PersistentVolume | undefined>;
}

/** Volumes of pods on this node. `mount` is repeated at every look at the pod: it updates what changed. */
export interface PodVolumes {
  /** Makes every volume of the pod ready; throws {@link MountFailure} naming the volume. */
  mount(pod: Pod, sources: PayloadSources): Promise<Map<string, ReadyVolume>>;
  /** Unmounts and removes everything of a pod. */
  remove(uid: string): Promise<void>;
  /** Pods that have a folder here. */
  present(): Promise<string[]>;
}

/** Which volume failed, and why. */
export class MountFailure extends Error {
  readonly volume: string;
  readonly permanent: boolean;

  constructor(volume: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`MountVolume.SetUp failed for volume "${volume}" : ${why}`, { cause });
    this.name = 'MountFailure';
    this.volume = volume;
    this.permanent = cause instanceof VolumeError && cause.permanent;
  }
}

/** Volumes on disk below the kubelet's root folder. */
export function diskVolumes(options: {
  kubeletRoot: string;
  mounts: Mounts;
  claims: ClaimLookup;
}): PodVolumes {
  /** Digest of what was last written, by volume path: an unchanged volume costs no disk access. */
  const written = new Map<string, string>();
  const context: VolumeContext = { ...options, written };
  return {
    async mount(pod, sources) {
      const ready = new Map<string, ReadyVolume>();
      for (const volume of pod.spec?.volumes ?? []) {
        try {
          ready.set(volume.name, await mountOne(context, pod, volume, sources));
        } catch (error) {
          throw new MountFailure(volume.name, error);
        }
      }
      return ready;
    },
    async remove(uid) {
      const folders = podFolders(options.kubeletRoot, uid);
      for (const point of await options.mounts.listUnder(folders.pod)) await options.mounts.unmount(point);
      await rm(folders.pod, { recursive: true, force: true });
      for (const path of written.keys()) if (path.startsWith(`${folders.pod}/`)) written.delete(path);
    },
    present: () => readdir(podsFolder(options.kubeletRoot)).catch(() => []),
  };
}

interface VolumeContext {
  kubeletRoot: string;
  mounts: Mounts;
  claims: ClaimLookup;
  written: Map<string, string>;
}

async function mountOne(
  context: VolumeContext,
  pod: Pod,
  volume: Volume,
  sources: PayloadSources,
): Promise<ReadyVolume> {
  if (volume.hostPath) return { path: await prepareHostPath(volume.hostPath), readOnly: false };
  if (volume.emptyDir) return mountEmptyDir(context, pod, volume);
  if (volume.persistentVolumeClaim) return mountClaim(context, pod, volume);
  const payload = await payloadOf(pod, volume, sources);
  if (payload) return mountPayload(context, pod, volume, payload);
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
  throw new VolumeError(
    `volume type ${kind} is not supported by this kubelet; use emptyDir, hostPath, configMap, secret, projected, downwardAPI or a persistentVolumeClaim of a hostPath or local volume`,
    { permanent: true },
  );
}

async function mountEmptyDir(context: VolumeContext, pod: Pod, volume: Volume): Promise<ReadyVolume> {
  const source = volume.emptyDir!;
  const path = podFolders(context.kubeletRoot, pod.metadata.uid!).volume(
    'kubernetes.io~empty-dir',
    volume.name,
  );
  if (context.written.has(path)) return { path, readOnly: false };
  await mkdir(path, { recursive: true, mode: 0o750 });
  if (source.medium === 'Memory') {
    await context.mounts.tmpfs(path, {
      sizeBytes: source.sizeLimit === undefined ? undefined : amountOf(source.sizeLimit),
    });
  } else if (source.medium) {
    throw new VolumeError(`unknown storage medium "${source.medium}"`, { permanent: true });
  }
  await chmod(path, 0o777);
  await applyGroup(pod, path, false);
  context.written.set(path, '');
  return { path, readOnly: false };
}

async function mountPayload(
  context: VolumeContext,
  pod: Pod,
  volume: Volume,
  payload: Payload,
): Promise<ReadyVolume> {
  const [plugin, inMemory] = pluginOf(volume);
  const path = podFolders(context.kubeletRoot, pod.metadata.uid!).volume(plugin, volume.name);
  const digest = digestOf(payload);
  if (context.written.get(path) === digest) return { path, readOnly: true };
  await mkdir(path, { recursive: true, mode: 0o755 });
  if (inMemory) await context.mounts.tmpfs(path, {});
  await chmod(path, 0o777);
  await writeAtomically(path, payload, (folder) => applyGroup(pod, folder, true));
  const group = pod.spec?.securityContext?.fsGroup;
  if (group !== undefined) await giveToGroup(path, group, true);
  context.written.set(path, digest);
  return { path, readOnly: true };
}

/** Upstream's folder name, and whether the files must not reach the disk. */
function pluginOf(volume: Volume): [string, boolean] {
  if (volume.configMap) return ['kubernetes.io~configmap', false];
  if (volume.secret) return ['kubernetes.io~secret', true];
  if (volume.downwardAPI) return ['kubernetes.io~downward-api', false];
  return ['kubernetes.io~projected', true];
}

function digestOf(payload: Payload): string {
  const hash = createHash('sha256');
  for (const [path, file] of [...payload].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${path}\0${file.mode}\0${file.uid ?? ''}\0${file.data.length}\0`).update(file.data);
  }
  return hash.digest('hex');
}

async function applyGroup(pod: Pod, path: string, readOnly: boolean): Promise<void> {
  const shared = pod.spec?.securityContext;
  if (shared?.fsGroup === undefined) return;
  if (
    shared.fsGroupChangePolicy === 'OnRootMismatch' &&
    (await belongsToGroup(path, shared.fsGroup, readOnly))
  )
    return;
  await giveToGroup(path, shared.fsGroup, readOnly);
}

async function mountClaim(context: VolumeContext, pod: Pod, volume: Volume): Promise<ReadyVolume> {
  const source = volume.persistentVolumeClaim!;
  const namespace = pod.metadata.namespace!;
  const claim = await context.claims.claim(namespace, source.claimName);
  if (!claim) throw new VolumeError(`persistentvolumeclaim "${source.claimName}" not found`);
  const name = claim.spec?.volumeName;
  if (claim.status?.phase !== 'Bound' || !name) {
    throw new VolumeError(`PVC ${namespace}/${source.claimName} is not bound`);
  }
  const bound = await context.claims.volume(name);
  if (!bound) throw new VolumeError(`persistentvolume "${name}" not found`);
  const owner = bound.spec?.claimRef;
  if (owner?.uid !== undefined && owner.uid !== claim.metadata.uid) {
    throw new VolumeError(
      `persistentvolume "${name}" is bound to another claim, ${owner.namespace}/${owner.name}`,
    );
  }
  const readOnly = source.readOnly === true;
  const group = groupAnnotation(bound);
  if (bound.spec?.hostPath) return { path: await prepareHostPath(bound.spec.hostPath), readOnly, group };
  if (bound.spec?.local) {
    const path = await prepareHostPath({ path: bound.spec.local.path, type: 'Directory' });
    if (!readOnly) await applyGroup(pod, path, false);
    return { path, readOnly, group };
  }
  throw new VolumeError(
    `persistentvolume "${name}" is neither hostPath nor local, which is all this kubelet mounts`,
    {
      permanent: true,
    },
  );
}

/** Group id that a volume's owner has written on it (`pv.beta.kubernetes.io/gid`). */
function groupAnnotation(volume: PersistentVolume): number | undefined {
  const text = volume.metadata.annotations?.['pv.beta.kubernetes.io/gid'];
  const group = Number(text);
  return text === undefined || !Number.isInteger(group) || group < 0 ? undefined : group;
}
