import type { Container, Volume } from '@cloudless/kube/types/core-v1';
import { baselineCapabilities, baselineChecks, baselineSeccomp, hostPathVolumes } from './baseline.ts';
import {
  type Check,
  containersOf,
  containersText,
  namesWhere,
  plural,
  quoted,
  settersText,
  sorted,
} from './words.ts';

const allowedVolumes: ReadonlyArray<keyof Volume> = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

const allowPrivilegeEscalation: Check = ({ spec }) => {
  if (spec?.os?.name === 'windows') return undefined;
  const names = namesWhere(
    spec,
    ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false,
  );
  return names.length === 0
    ? undefined
    : {
        reason: 'allowPrivilegeEscalation != false',
        detail: `${containersText(names)} must set securityContext.allowPrivilegeEscalation=false`,
      };
};

const capabilities: Check = ({ spec }) => {
  if (spec?.os?.name === 'windows') return undefined;
  const forbidden = ({ securityContext }: Container): string[] =>
    (securityContext?.capabilities?.add ?? []).filter((capability) => capability !== 'NET_BIND_SERVICE');
  const keeping = namesWhere(
    spec,
    ({ securityContext }) => !securityContext?.capabilities?.drop?.includes('ALL'),
  );
  const adding = namesWhere(spec, (container) => forbidden(container).length > 0);
  const added = sorted(containersOf(spec).flatMap(forbidden));
  const details = [
    ...(keeping.length > 0
      ? [`${containersText(keeping)} must set securityContext.capabilities.drop=["ALL"]`]
      : []),
    ...(adding.length > 0
      ? [`${containersText(adding)} must not include ${quoted(added)} in securityContext.capabilities.add`]
      : []),
  ];
  return details.length === 0
    ? undefined
    : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const volumes: Check = ({ spec }) => {
  const bad = (spec?.volumes ?? []).filter(
    (volume) => !allowedVolumes.some((type) => volume[type] !== undefined),
  );
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((volume) => Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'));
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', 'volumes', bad.length)} ${quoted(bad.map(({ name }) => name))} ${plural('uses', 'use', bad.length)} ${plural('restricted volume type', 'restricted volume types', types.length)} ${quoted(types)}`,
  };
};

const runAsNonRoot: Check = ({ spec }, minor) => {
  if (minor >= 35 && spec?.hostUsers === false) return undefined;
  const onPod = spec?.securityContext?.runAsNonRoot;
  const reason = 'runAsNonRoot != true';
  const refusing = namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false);
  if (onPod === false || refusing.length > 0)
    return {
      reason,
      detail: `${settersText(onPod === false, refusing)} must not set securityContext.runAsNonRoot=false`,
    };
  const silent = namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  return onPod === true || silent.length === 0
    ? undefined
    : { reason, detail: `pod or ${containersText(silent)} must set securityContext.runAsNonRoot=true` };
};

const runAsUser: Check = ({ spec }, minor) => {
  if (minor < 23 || (minor >= 35 && spec?.hostUsers === false)) return undefined;
  const onPod = spec?.securityContext?.runAsUser === 0;
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.runAsUser === 0);
  return onPod || names.length > 0
    ? { reason: 'runAsUser=0', detail: `${settersText(onPod, names)} must not set runAsUser=0` }
    : undefined;
};

const seccomp: Check = (pod, minor) => {
  const { spec } = pod;
  if (minor < 19 || spec?.os?.name === 'windows') return undefined;
  const bad = baselineSeccomp(pod, minor);
  if (bad) return bad;
  const silent = namesWhere(spec, ({ securityContext }) => securityContext?.seccompProfile === undefined);
  return spec?.securityContext?.seccompProfile !== undefined || silent.length === 0
    ? undefined
    : {
        reason: 'seccompProfile',
        detail: `pod or ${containersText(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
      };
};

const replaced: readonly Check[] = [baselineCapabilities, hostPathVolumes, baselineSeccomp];

export const restrictedChecks: readonly Check[] = [
  ...baselineChecks.filter((check) => !replaced.includes(check)),
  allowPrivilegeEscalation,
  capabilities,
  volumes,
  runAsNonRoot,
  runAsUser,
  seccomp,
];
