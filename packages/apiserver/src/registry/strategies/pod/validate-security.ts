/** Security contexts of pods and containers (upstream: pkg/apis/core/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
} from '@cloudless/kube/types/core-v1';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import { type Integer, invalidEach, oneOf, optionalOneOf } from '../../validation/fields.ts';
import { isGroupId, isUserId } from '../../validation/names.ts';
import { containersOf } from './containers.ts';
import { relativePath } from './paths.ts';
import { validateWindowsOptions } from './validate-windows.ts';

const userId = (id: Integer | undefined | null, path: FieldPath): FieldError[] =>
  id == null ? [] : invalidEach(path, id, isUserId(id));
const groupId = (id: Integer | undefined | null, path: FieldPath): FieldError[] =>
  id == null ? [] : invalidEach(path, id, isGroupId(id));

const profileTypes = ['Localhost', 'RuntimeDefault', 'Unconfined'];

function validateSeccomp(profile: SeccompProfile | undefined | null, path: FieldPath): FieldError[] {
  if (!profile) return [];
  const wrong: FieldError[] = [];
  if (!profile.type) {
    wrong.push(fieldErrors.required(path.child('type'), 'type is required when seccompProfile is set'));
  } else wrong.push(...optionalOneOf(profile.type, profileTypes, path.child('type')));
  const at = path.child('localhostProfile');
  if (profile.type !== 'Localhost') {
    if (profile.localhostProfile == null) return wrong;
    return [...wrong, fieldErrors.invalid(at, profile, 'can only be set when seccomp type is Localhost')];
  }
  if (profile.localhostProfile == null) {
    return [...wrong, fieldErrors.required(at, 'must be set when seccomp type is Localhost')];
  }
  return [...wrong, ...relativePath(profile.localhostProfile, at)];
}

function validateAppArmor(profile: AppArmorProfile | undefined | null, path: FieldPath): FieldError[] {
  if (!profile) return [];
  const at = path.child('localhostProfile');
  const name = profile.localhostProfile;
  if (profile.type === 'Localhost') {
    if (name == null) return [fieldErrors.required(at, 'must be set when AppArmor type is Localhost')];
    const wrong: FieldError[] = [];
    if (name.trim() !== name) wrong.push(fieldErrors.invalid(at, name, 'must not be padded with whitespace'));
    else if (name === '') wrong.push(fieldErrors.required(at, 'must be set when AppArmor type is Localhost'));
    if (Buffer.byteLength(name) > 4095) wrong.push(fieldErrors.tooLong(at, 4095));
    return wrong;
  }
  if (!profile.type) {
    return [fieldErrors.required(path.child('type'), 'type is required when appArmorProfile is set')];
  }
  if (!profileTypes.includes(profile.type)) {
    return [fieldErrors.notSupported(path.child('type'), profile.type, profileTypes)];
  }
  return name == null
    ? []
    : [fieldErrors.invalid(at, name, 'can only be set when AppArmor type is Localhost')];
}

const sysctl = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const sysctlName = `([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*${sysctl}`;
const sysctlPattern = new RegExp(`^${sysctlName}$`);

function sysctlNamespace(name: string): 'net' | 'ipc' | undefined {
  const dotted = name.replaceAll('/', '.');
  if (dotted.startsWith('net.')) return 'net';
  if (/^(kernel\.(shm|msg)|fs\.mqueue\.)/.test(dotted) || dotted === 'kernel.sem') return 'ipc';
  return undefined;
}

function validateSysctls(context: PodSecurityContext, spec: PodSpec, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  context.sysctls?.forEach(({ name }, i) => {
    const at = path.index(i).child('name');
    if (!name) wrong.push(fieldErrors.required(at));
    else if (name.length > 253 || !sysctlPattern.test(name)) {
      const text = `must have at most 253 characters and match regex ^${sysctlName}$`;
      wrong.push(fieldErrors.invalid(at, name, text));
    } else if (seen.has(name)) wrong.push(fieldErrors.duplicate(at, name));
    const namespace = sysctlNamespace(name ?? '');
    if (spec.hostNetwork && namespace === 'net') {
      wrong.push(fieldErrors.invalid(at, name, "may not be specified when 'hostNetwork' is true"));
    } else if (spec.hostIPC && namespace === 'ipc') {
      wrong.push(fieldErrors.invalid(at, name, "may not be specified when 'hostIPC' is true"));
    }
    seen.add(name);
  });
  return wrong;
}

/** `old`: the spec that this one replaces. */
export function validatePodSecurity(spec: PodSpec, path: FieldPath, old?: PodSpec): FieldError[] {
  const context = spec.securityContext;
  if (!context) return [];
  const wrong = [
    ...groupId(context.fsGroup, path.child('fsGroup')),
    ...userId(context.runAsUser, path.child('runAsUser')),
    ...groupId(context.runAsGroup, path.child('runAsGroup')),
  ];
  context.supplementalGroups?.forEach((id, i) => {
    wrong.push(...groupId(id, path.child('supplementalGroups').index(i)));
  });
  if (spec.shareProcessNamespace && spec.hostPID) {
    const text = 'ShareProcessNamespace and HostPID cannot both be enabled';
    wrong.push(fieldErrors.invalid(path.child('shareProcessNamespace'), true, text));
  }
  return [
    ...wrong,
    ...validateSysctls(context, spec, path.child('sysctls')),
    ...optionalOneOf(
      context.fsGroupChangePolicy,
      ['Always', 'OnRootMismatch'],
      path.child('fsGroupChangePolicy'),
    ),
    ...validateSeccomp(context.seccompProfile, path.child('seccompProfile')),
    ...validateWindowsOptions(context.windowsOptions, path.child('windowsOptions')),
    ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile')),
    ...optionalOneOf(
      context.supplementalGroupsPolicy,
      ['Merge', 'Strict'],
      path.child('supplementalGroupsPolicy'),
    ),
    ...optionalOneOf(
      context.seLinuxChangePolicy,
      // SELinuxMount is off: only who has a policy already may have another one.
      old?.securityContext?.seLinuxChangePolicy == null ? ['Recursive'] : ['MountOption', 'Recursive'],
      path.child('seLinuxChangePolicy'),
    ),
  ];
}

/** `hostUsers`: the pod shares the host's user namespace, which is the default. */
export function validateContainerSecurity(
  context: SecurityContext | undefined | null,
  hostUsers: boolean,
  path: FieldPath,
): FieldError[] {
  if (!context) return [];
  const wrong = [
    ...userId(context.runAsUser, path.child('runAsUser')),
    ...groupId(context.runAsGroup, path.child('runAsGroup')),
  ];
  if (context.procMount != null) {
    const at = path.child('procMount');
    wrong.push(...oneOf(context.procMount, ['Default', 'Unmasked'], at));
    if (hostUsers && context.procMount === 'Unmasked') {
      wrong.push(fieldErrors.invalid(at, context.procMount, '`hostUsers` must be false to use `Unmasked`'));
    }
  }
  wrong.push(...validateSeccomp(context.seccompProfile, path.child('seccompProfile')));
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged) {
      const text = 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true';
      wrong.push(fieldErrors.invalid(path, context, text));
    }
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      const text = 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN';
      wrong.push(fieldErrors.invalid(path, context, text));
    }
  }
  return [
    ...wrong,
    ...validateWindowsOptions(context.windowsOptions, path.child('windowsOptions')),
    ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile')),
  ];
}

const seccompPodAnnotation = 'seccomp.security.alpha.kubernetes.io/pod';
const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/';
const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';

function seccompMismatch(annotation: string, profile: SeccompProfile, path: FieldPath): FieldError[] {
  const typeText = 'seccomp type in annotation and field must match';
  const type = fieldErrors.forbidden(path.child('type'), typeText);
  if (profile.type === 'Unconfined') return annotation === 'unconfined' ? [] : [type];
  if (profile.type === 'RuntimeDefault') {
    return ['runtime/default', 'docker/default'].includes(annotation) ? [] : [type];
  }
  if (profile.type !== 'Localhost') return [];
  if (!annotation.startsWith('localhost/')) return [type];
  if (annotation.slice('localhost/'.length) === profile.localhostProfile) return [];
  const text = 'seccomp profile in annotation and field must match';
  return [fieldErrors.forbidden(path.child('localhostProfile'), text)];
}

function appArmorMismatch(annotation: string, profile: AppArmorProfile, path: FieldPath): FieldError[] {
  const type = fieldErrors.forbidden(path.child('type'), 'apparmor type in annotation and field must match');
  if (profile.type === 'Unconfined') return annotation === 'unconfined' ? [] : [type];
  if (profile.type === 'RuntimeDefault') return annotation === 'runtime/default' ? [] : [type];
  if (profile.type !== 'Localhost') return [];
  if (!annotation.startsWith('localhost/')) return [type];
  if (annotation.slice('localhost/'.length) === profile.localhostProfile) return [];
  const text = 'apparmor profile in annotation and field must match';
  return [fieldErrors.forbidden(path.child('localhostProfile'), text)];
}

/** The old annotations must say what the fields say. */
export function validateProfileAnnotations(
  metadata: ObjectMeta | undefined,
  spec: PodSpec,
  path: FieldPath,
): FieldError[] {
  const annotations = metadata?.annotations;
  if (!annotations) return [];
  const wrong: FieldError[] = [];
  const podProfile = spec.securityContext?.seccompProfile;
  const podAnnotation = annotations[seccompPodAnnotation];
  if (podProfile && podAnnotation !== undefined) {
    wrong.push(
      ...seccompMismatch(podAnnotation, podProfile, path.child('securityContext', 'seccompProfile')),
    );
  }
  for (const [container, at] of containersOf(spec, path)) {
    const seccomp = container.securityContext?.seccompProfile;
    const seccompAnnotation = annotations[seccompContainerPrefix + container.name];
    if (seccomp && seccompAnnotation !== undefined) {
      wrong.push(
        ...seccompMismatch(seccompAnnotation, seccomp, at.child('securityContext', 'seccompProfile')),
      );
    }
    const appArmor = container.securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile;
    const appArmorAnnotation = annotations[appArmorPrefix + container.name];
    if (appArmor && appArmorAnnotation !== undefined) {
      wrong.push(
        ...appArmorMismatch(appArmorAnnotation, appArmor, at.child('securityContext', 'appArmorProfile')),
      );
    }
  }
  return wrong;
}

const isSeccompText = (text: string): boolean =>
  ['runtime/default', 'docker/default', 'unconfined'].includes(text) || text.startsWith('localhost/');

/** Annotations that mean something to a pod. */
export function validatePodAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  spec: PodSpec,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const mirror = annotations?.['kubernetes.io/config.mirror'];
  if (mirror !== undefined && !spec.nodeName) {
    const text = 'must set spec.nodeName if mirror pod annotation is set';
    wrong.push(fieldErrors.invalid(path.key('kubernetes.io/config.mirror'), mirror, text));
  }
  const cost = annotations?.['controller.kubernetes.io/pod-deletion-cost'];
  if (cost !== undefined && !(/^(0|-?[1-9][0-9]*)$/.test(cost) && Number(cost) === (Number(cost) | 0))) {
    const at = path.key('controller.kubernetes.io/pod-deletion-cost');
    wrong.push(fieldErrors.invalid(at, cost, 'must be a 32bit integer'));
  }
  for (const key in annotations) {
    const value = annotations[key] as string;
    if (key === seccompPodAnnotation || key.startsWith(seccompContainerPrefix)) {
      if (!isSeccompText(value)) {
        wrong.push(fieldErrors.invalid(path.child(key), value, 'must be a valid seccomp profile'));
      } else if (value.startsWith('localhost/'))
        wrong.push(...relativePath(value.slice(10), path.child(key)));
    } else if (key.startsWith(appArmorPrefix)) {
      const name = key.slice(appArmorPrefix.length);
      const known = [...containersOf(spec, path)].some(([container]) => container.name === name);
      if (!known) wrong.push(fieldErrors.invalid(path.key(key), name, 'container not found'));
      if (!['', 'runtime/default', 'unconfined'].includes(value) && !value.startsWith('localhost/')) {
        const text = `invalid AppArmor profile name: ${JSON.stringify(value)}`;
        wrong.push(fieldErrors.invalid(path.key(key), value, text));
      }
    }
  }
  return wrong;
}

/** Annotations that may not change once the pod exists. */
export function validateAnnotationUpdates(
  now: Readonly<Record<string, string>> | undefined,
  before: Readonly<Record<string, string>> | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const noun = (key: string): string | undefined =>
    key.startsWith(appArmorPrefix)
      ? 'AppArmor annotations'
      : key === 'kubernetes.io/config.mirror'
        ? 'mirror pod annotation'
        : undefined;
  for (const key in before) {
    const name = noun(key);
    if (name !== undefined && now?.[key] !== before[key]) {
      wrong.push(fieldErrors.forbidden(path.key(key), `may not remove or update ${name}`));
    }
  }
  for (const key in now) {
    const name = noun(key);
    if (name !== undefined && before?.[key] === undefined) {
      wrong.push(fieldErrors.forbidden(path.key(key), `may not add ${name}`));
    }
  }
  return wrong;
}
