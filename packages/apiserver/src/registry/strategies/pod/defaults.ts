/**
 * Defaults of pods and of pod templates (upstream: pkg/apis/core/v1/defaults.go and its generated walk). Idempotent:
 * also run on every object read from storage.
 */
import type {
  Container,
  ContainerPort,
  EphemeralContainer,
  Lifecycle,
  LifecycleHandler,
  ObjectFieldSelector,
  Pod,
  PodSpec,
  PodStatus,
  PodTemplateSpec,
  PersistentVolumeClaimSpec,
  Probe,
  ProjectedVolumeSource,
  ResourceRequirements,
  Volume,
} from '@cloudless/kube/types/core-v1';
import { roundResources } from '../../validation/quantities.ts';
import { defaultPodLevelResources } from './aggregate-resources.ts';
import { defaultPullPolicy } from './image.ts';

const fileMode = 0o644;

function defaultFieldRef(reference: ObjectFieldSelector | undefined): void {
  if (reference) reference.apiVersion ||= 'v1';
}

function defaultHandler(handler: LifecycleHandler | Probe | undefined): void {
  if (!handler) return;
  if (handler.httpGet) {
    handler.httpGet.path ||= '/';
    handler.httpGet.scheme ||= 'HTTP';
  }
  if ('grpc' in handler && handler.grpc) handler.grpc.service ??= '';
}

function defaultProbe(probe: Probe | undefined): void {
  if (!probe) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  defaultHandler(probe);
}

function defaultLifecycle(lifecycle: Lifecycle | undefined): void {
  defaultHandler(lifecycle?.postStart);
  defaultHandler(lifecycle?.preStop);
}

function defaultResources(resources: ResourceRequirements | undefined): void {
  roundResources(resources?.limits);
  roundResources(resources?.requests);
}

function defaultContainer(container: Container | EphemeralContainer): void {
  container.imagePullPolicy ||= defaultPullPolicy(container.image ?? '');
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ||= 'TCP';
  for (const variable of container.env ?? []) {
    defaultFieldRef(variable.valueFrom?.fieldRef);
    const fileKey = variable.valueFrom?.fileKeyRef;
    if (fileKey) fileKey.optional ??= false;
  }
  defaultResources(container.resources);
  defaultProbe(container.livenessProbe);
  defaultProbe(container.readinessProbe);
  defaultProbe(container.startupProbe);
  defaultLifecycle(container.lifecycle);
}

/** Also of claims themselves and of a StatefulSet's claim templates. */
export function defaultClaimSpec(spec: PersistentVolumeClaimSpec | undefined): void {
  if (!spec) return;
  spec.volumeMode ??= 'Filesystem';
  roundResources(spec.resources?.limits);
  roundResources(spec.resources?.requests);
}

function defaultProjected(projected: ProjectedVolumeSource): void {
  projected.defaultMode ??= fileMode;
  for (const source of projected.sources ?? []) {
    for (const file of source.downwardAPI?.items ?? []) defaultFieldRef(file.fieldRef);
    if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= 3600;
  }
}

function defaultVolume(volume: Volume): void {
  // Everything but the name is a source; without one the volume is an empty folder.
  let hasSource = false;
  for (const key in volume) {
    if (key !== 'name' && (volume as unknown as Record<string, unknown>)[key] != null) hasSource = true;
  }
  if (!hasSource) volume.emptyDir = {};
  if (volume.image) volume.image.pullPolicy ||= defaultPullPolicy(volume.image.reference ?? '');
  if (volume.hostPath) volume.hostPath.type ??= '';
  if (volume.secret) volume.secret.defaultMode ??= fileMode;
  if (volume.configMap) volume.configMap.defaultMode ??= fileMode;
  if (volume.projected) defaultProjected(volume.projected);
  if (volume.downwardAPI) {
    volume.downwardAPI.defaultMode ??= fileMode;
    for (const file of volume.downwardAPI.items ?? []) defaultFieldRef(file.fieldRef);
  }
  if (volume.iscsi) volume.iscsi.iscsiInterface ||= 'default';
  if (volume.rbd) {
    volume.rbd.pool ||= 'rbd';
    volume.rbd.user ||= 'admin';
    volume.rbd.keyring ||= '/etc/ceph/keyring';
  }
  if (volume.azureDisk) {
    volume.azureDisk.cachingMode ??= 'ReadWrite';
    volume.azureDisk.kind ??= 'Shared';
    volume.azureDisk.fsType ??= 'ext4';
    volume.azureDisk.readOnly ??= false;
  }
  if (volume.scaleIO) {
    volume.scaleIO.storageMode ||= 'ThinProvisioned';
    volume.scaleIO.fsType ||= 'xfs';
  }
  defaultClaimSpec(volume.ephemeral?.volumeClaimTemplate?.spec);
}

/** What a pod's spec and a template's have in common. */
export function defaultPodSpec(spec: PodSpec): void {
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.restartPolicy ||= 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  spec.schedulerName ||= 'default-scheduler';
  // The old name of serviceAccountName is kept equal to it (upstream's conversion).
  spec.serviceAccountName ||= spec.serviceAccount;
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of spec.initContainers ?? []) defaultContainer(container);
  for (const container of spec.containers ?? []) defaultContainer(container);
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
  roundResources(spec.overhead);
  defaultResources(spec.resources);
  if (spec.serviceAccountName === undefined) delete spec.serviceAccountName;
}

/** `template.metadata` always exists upstream; its creationTimestamp is null there and left out here. */
export function defaultPodTemplate(template: PodTemplateSpec | undefined): void {
  if (!template) return;
  template.metadata ??= {};
  template.spec ??= { containers: [] };
  defaultPodSpec(template.spec);
}

/** Fields of features that are off by default: they are not kept (upstream: pkg/api/pod, dropDisabledFields). */
export function dropDisabledPodFields(spec: PodSpec | undefined): void {
  if (!spec) return;
  delete spec.schedulingGroup;
  for (const list of [spec.containers, spec.initContainers]) {
    for (const { lifecycle } of list ?? []) if (lifecycle) delete lifecycle.stopSignal;
  }
  for (const { projected } of spec.volumes ?? []) {
    for (const source of projected?.sources ?? []) {
      delete source.podCertificate;
      delete source.clusterTrustBundle;
    }
  }
}

function defaultRequests(container: Container): void {
  const limits = container.resources?.limits;
  if (!limits) return;
  const requests = ((container.resources as ResourceRequirements).requests ??= {});
  for (const name in limits) requests[name] ??= limits[name] as string;
}

function defaultHostPorts(ports: ContainerPort[] | undefined): void {
  for (const port of ports ?? []) port.hostPort ||= port.containerPort;
}

/** `podIP` is the first of `podIPs`; where both were given and differ, it rules (Convert_v1_PodStatus_To_core_PodStatus). */
function agreeOnAddress(status: PodStatus | undefined): void {
  if (!status) return;
  const first = status.podIPs?.[0]?.ip;
  if (status.podIP && status.podIP !== first) status.podIPs = [{ ip: status.podIP }];
  else if (first && !status.podIP) status.podIP = first;
}

/** A pod's own defaults, which templates do not get: requests from limits, host ports of host network pods. */
export function defaultPod(pod: Pod): void {
  const spec = (pod.spec ??= { containers: [] });
  for (const container of spec.containers ?? []) defaultRequests(container);
  for (const container of spec.initContainers ?? []) defaultRequests(container);
  defaultPodLevelResources(spec);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork) {
    for (const container of spec.containers ?? []) defaultHostPorts(container.ports);
    for (const container of spec.initContainers ?? []) defaultHostPorts(container.ports);
  }
  defaultPodSpec(spec);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  agreeOnAddress(pod.status);
  for (const statuses of [
    pod.status?.containerStatuses,
    pod.status?.initContainerStatuses,
    pod.status?.ephemeralContainerStatuses,
  ]) {
    for (const status of statuses ?? []) roundResources(status.allocatedResources);
  }
}
