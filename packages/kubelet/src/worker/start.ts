import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { grpcCodeName } from '@cloudless/kube/grpc-codes';
import type { Pod, Secret } from '@cloudless/kube/types/core-v1';
import { StatusError } from '@cloudless/kube/status';
import { CriError } from '../cri/error.ts';
import type { Image, Init, PodSandboxConfig } from '../cri/generated/types.ts';
import { DownwardError } from '../environment/downward.ts';
import { hostsFile, podHostname } from '../environment/hosts-file.ts';
import { missingClusterDns, podResolver } from '../environment/resolv-conf.ts';
import { ConfigError, environmentOf } from '../environment/variables.ts';
import { nodeReference, podReference } from '../events.ts';
import { fieldPathOf, identityOf } from '../naming/pod.ts';
import { rotatedFiles } from '../logs/rotate.ts';
import { ImageError } from '../pull/images.ts';
import { containerConfig, containerMounts } from '../runtime/container-config.ts';
import { HookError, runHook } from '../runtime/hooks.ts';
import { sandboxConfig } from '../runtime/sandbox-config.ts';
import { verifyNonRoot } from '../security/context.ts';
import { newestContainer, type ObservedPod, type ObservedSandbox } from '../sync/observed.ts';
import type { StartContainer } from '../sync/plan.ts';
import { VolumeError } from '../volumes/host-path.ts';
import { podFolders, podLogFolder } from '../volumes/layout.ts';
import type { ReadyVolume } from '../volumes/pod-volumes.ts';
import { bindSubPath } from '../volumes/sub-path.ts';
import { StartError } from './errors.ts';
import type { WorkerServices } from './services.ts';
import { graceSecondsOf, stopContainer } from './stop.ts';

/** What RunPodSandbox and later CreateContainer are told of the pod. */
export async function describeSandbox(
  services: WorkerServices,
  pod: Pod,
  attempt: number,
): Promise<Init<PodSandboxConfig>> {
  const { node } = services;
  const host = await node.resolver().catch((error: Error) => {
    services.events(
      podReference(pod),
      'Warning',
      'FailedCreatePodSandBox',
      `Failed to create pod sandbox: ${error.message}`,
    );
    throw error;
  });
  const resolver = podResolver({
    pod,
    host,
    nodeIps: node.hostIps(),
    clusterDns: node.clusterDns,
    clusterDomain: node.clusterDomain,
  });
  for (const { reason, message } of resolver.warnings) {
    services.events(podReference(pod), 'Warning', reason, message);
    if (reason === 'MissingClusterDNS')
      services.events(nodeReference(node.name), 'Warning', reason, missingClusterDns);
  }
  return sandboxConfig({
    pod,
    attempt,
    hostname: podHostname(pod, node.clusterDomain).sandboxName,
    resolver: resolver.config,
    logFolder: podLogFolder(services.paths.podLogs, identityOf(pod)),
    cgroupParent: services.cgroups.parentOf(pod),
  });
}

/** Makes the pod's sandbox; throws what the runtime says, after an event. */
export async function createSandbox(
  services: WorkerServices,
  pod: Pod,
  config: Init<PodSandboxConfig>,
  signal: AbortSignal,
): Promise<ObservedSandbox> {
  const folder = podLogFolder(services.paths.podLogs, identityOf(pod));
  if (!services.simulated) await mkdir(folder, { recursive: true, mode: 0o755 });
  try {
    const { podSandboxId } = await services.cri.runPodSandbox(
      { config, runtimeHandler: await services.runtimeHandler(pod) },
      { signal },
    );
    const sandbox = await services.view.lookAtSandbox(podSandboxId);
    if (!sandbox) throw new StartError('SandboxGone', 'the sandbox ended at once');
    return sandbox;
  } catch (error) {
    if (signal.aborted) throw error;
    const text =
      error instanceof CriError
        ? `rpc error: code = ${grpcCodeName(error.code)} desc = ${error.text}`
        : String(error);
    services.events(
      podReference(pod),
      'Warning',
      'FailedCreatePodSandBox',
      `Failed to create pod sandbox: ${text}`,
    );
    throw error;
  }
}

export interface StartInput {
  pod: Pod;
  start: StartContainer;
  sandbox: ObservedSandbox;
  sandboxConfig: Init<PodSandboxConfig>;
  observed: ObservedPod;
  volumes: ReadonlyMap<string, ReadyVolume>;
  signal: AbortSignal;
}

type Record = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

/** Image, configuration, creation, start, postStart hook; throws {@link StartError} (upstream: startContainer). */
export async function startContainer(services: WorkerServices, input: StartInput): Promise<void> {
  const { start, pod } = input;
  const reference = podReference(pod, fieldPathOf(start.kind, start.spec.name));
  const record: Record = (type, reason, message) => services.events(reference, type, reason, message);
  const image = await getImage(services, input, record);
  const config = await describeContainer(services, input, image).catch((error: unknown) => {
    if (!isConfigProblem(error)) throw error;
    record('Warning', 'Failed', `Error: ${error.message}`);
    throw new StartError('CreateContainerConfigError', error.message, { cause: error });
  });
  const id = await createContainer(services, input, config, record);
  record('Normal', 'Created', 'Container created');
  try {
    await services.cri.startContainer({ containerId: id }, { signal: input.signal });
  } catch (error) {
    await services.view.lookAtContainer(id, input.sandbox.id);
    if (!(error instanceof CriError)) throw error;
    record('Warning', 'Failed', `Error: ${error.text}`);
    throw new StartError('RunContainerError', error.text, { cause: error });
  }
  record('Normal', 'Started', 'Container started');
  await services.view.lookAtContainer(id, input.sandbox.id);
  await linkLog(services, input, id);
  await postStart(services, input, id, record);
}

async function getImage(services: WorkerServices, input: StartInput, record: Record): Promise<Image> {
  try {
    return await services.images.ensure({
      pod: input.pod,
      container: input.start.spec,
      secrets: () => pullSecrets(services, input.pod),
      event: record,
      signal: input.signal,
    });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    record('Warning', 'Failed', `Error: ${error.reason}`);
    throw new StartError(error.reason, error.message, { retryAtMs: error.retryAtMs, cause: error });
  }
}

async function pullSecrets(services: WorkerServices, pod: Pod): Promise<Secret[]> {
  const found: Secret[] = [];
  const missing: string[] = [];
  for (const { name } of pod.spec?.imagePullSecrets ?? []) {
    if (!name) continue;
    const secret = await services.objects.secret(pod.metadata.namespace ?? '', name).catch(() => undefined);
    if (secret) found.push(secret);
    else missing.push(name);
  }
  if (missing.length > 0) {
    services.events(
      podReference(pod),
      'Warning',
      'FailedToRetrieveImagePullSecret',
      `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
    );
  }
  return found;
}

const isConfigProblem = (error: unknown): error is Error =>
  error instanceof ConfigError ||
  error instanceof DownwardError ||
  error instanceof VolumeError ||
  error instanceof StatusError;

async function describeContainer(
  services: WorkerServices,
  input: StartInput,
  image: Image,
): Promise<ReturnType<typeof containerConfig>> {
  const { pod, start } = input;
  const spec = start.spec;
  const { node } = services;
  const hostIps = node.hostIps();
  const podIps = pod.spec?.hostNetwork ? hostIps : input.sandbox.ips;
  const imageUser = {
    uid: image.uid === undefined ? undefined : Number(image.uid.value),
    username: image.username,
  };
  verifyNonRoot(pod, spec, imageUser);
  if ((spec.volumeDevices ?? []).length > 0) {
    throw new ConfigError(
      'volumeDevices (raw block volumes) are not supported by this kubelet; use volumeMounts',
    );
  }
  const environment = await environmentOf({
    pod,
    container: spec,
    objects: services.objects,
    services: services.services(),
    addresses: { podIps, hostIps },
    allocatable: node.allocatable(),
  });
  const mounts = services.simulated ? [] : await mountsOf(services, input, environment, podIps);
  const target = 'targetContainerName' in spec ? spec.targetContainerName : undefined;
  const targetId = target ? newestContainer(input.observed, target)?.id : undefined;
  if (target && targetId === undefined) throw new ConfigError(`targetContainerName "${target}" does not run`);
  return containerConfig({
    pod,
    kind: start.kind,
    spec,
    attempt: start.attempt,
    environment,
    mounts,
    volumeGroups: [...input.volumes.values()].flatMap(({ group }) => (group === undefined ? [] : [group])),
    imageId: image.id,
    image: imageUser,
    targetId,
    security: services.security,
    memoryCapacityBytes: node.memoryCapacityBytes,
    cgroupV2: services.cgroups.unified,
  });
}

async function mountsOf(
  services: WorkerServices,
  input: StartInput,
  environment: ReadonlyMap<string, string>,
  podIps: readonly string[],
): ReturnType<typeof containerMounts> {
  const { pod, start } = input;
  const folders = podFolders(services.paths.kubelet, identityOf(pod).uid);
  return containerMounts({
    spec: start.spec,
    volumes: input.volumes,
    environment,
    hostsFile: await writeHostsFile(services, pod, podIps, folders.etcHosts),
    terminationFile: await terminationFile(folders.container(start.spec.name)),
    subPath: (volume, mount, subPath, index) =>
      bindSubPath({
        mounts: services.mounts,
        volume: volume.path,
        subPath,
        target: folders.subPath(mount.name, start.spec.name, index),
      }),
  });
}

async function writeHostsFile(
  services: WorkerServices,
  pod: Pod,
  podIps: readonly string[],
  path: string,
): Promise<string> {
  const { node } = services;
  const hostFile = pod.spec?.hostNetwork ? await node.hostsFile() : undefined;
  const text = hostsFile({ pod, podIps, clusterDomain: node.clusterDomain, hostFile });
  await writeFile(path, text, { mode: 0o644 });
  return path;
}

/** A new, empty file that every user may write to, for one run of a container. */
async function terminationFile(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const path = join(folder, randomBytes(4).toString('hex'));
  await writeFile(path, '');
  await chmod(path, 0o666);
  return path;
}

async function createContainer(
  services: WorkerServices,
  input: StartInput,
  config: ReturnType<typeof containerConfig>,
  record: Record,
): Promise<string> {
  try {
    const { containerId } = await services.cri.createContainer(
      { podSandboxId: input.sandbox.id, config, sandboxConfig: input.sandboxConfig },
      { signal: input.signal },
    );
    return containerId;
  } catch (error) {
    if (input.signal.aborted || !(error instanceof CriError)) throw error;
    record('Warning', 'Failed', `Error: ${error.text}`);
    throw new StartError('CreateContainerError', error.text, { cause: error });
  }
}

/** `POD_NAMESPACE_CONTAINER-ID.log` beside all others, for log collectors (upstream: legacyLogSymlink). */
async function linkLog(services: WorkerServices, input: StartInput, id: string): Promise<void> {
  if (services.simulated) return;
  const identity = identityOf(input.pod);
  const { start } = input;
  const target = join(
    podLogFolder(services.paths.podLogs, identity),
    start.spec.name,
    `${start.attempt}.log`,
  );
  await mkdir(services.paths.containerLogs, { recursive: true, mode: 0o755 });
  const link = logLink(services.paths.containerLogs, identity, start.spec.name, id);
  await symlink(target, `${link}.new`)
    .then(() => rename(`${link}.new`, link))
    .catch(() => undefined);
}

/** The longest file name the kernel takes, less `.log`. */
const maxLinkName = 251;

export function logLink(
  folder: string,
  pod: { name: string; namespace: string },
  container: string,
  id: string,
): string {
  return join(folder, `${`${pod.name}_${pod.namespace}_${container}-${id}`.slice(0, maxLinkName)}.log`);
}

async function postStart(
  services: WorkerServices,
  input: StartInput,
  id: string,
  record: Record,
): Promise<void> {
  const { pod, start } = input;
  const hook = start.spec.lifecycle?.postStart;
  if (!hook) return;
  const host = (pod.spec?.hostNetwork ? services.node.hostIps() : input.sandbox.ips)[0] ?? '';
  try {
    await runHook({
      cri: services.cri,
      clock: services.clock,
      containerId: id,
      container: start.spec,
      hook,
      host,
      signal: input.signal,
      timeoutMs: 0,
    });
  } catch (error) {
    if (input.signal.aborted || !(error instanceof HookError)) throw error;
    services.log.info(
      { pod: pod.metadata.name, container: start.spec.name, err: error.message },
      'postStart hook failed',
    );
    record('Warning', 'FailedPostStartHook', 'PostStartHook failed');
    const container = await services.view.lookAtContainer(id, input.sandbox.id);
    if (container?.state === 'running') {
      await stopContainer(services, {
        pod,
        container,
        spec: start.spec,
        kind: start.kind,
        message: 'FailedPostStartHook',
        graceSeconds: graceSecondsOf(pod),
        host,
        signal: input.signal,
      });
    }
    throw new StartError('PostStartHookError', 'PostStartHook failed', { cause: error });
  }
}

/** Removes an ended container with its log, log link and message file; the newest ended one stays for its status. */
export async function removeContainer(
  services: WorkerServices,
  pod: { name: string; namespace: string; uid: string },
  id: string,
  name: string,
  attempt: number,
): Promise<void> {
  await services.cri.removeContainer({ containerId: id });
  services.view.forget(id);
  if (services.simulated) return;
  await rm(logLink(services.paths.containerLogs, pod, name, id), { force: true });
  const log = join(podLogFolder(services.paths.podLogs, pod), name, `${attempt}.log`);
  for (const path of [log, ...(await rotatedFiles(log))]) await rm(path, { force: true });
}
