import { fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { StatefulSet, StatefulSetSpec } from '@cloudless/kube/types/apps-v1';
import type { PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import {
  dns1123Label,
  intOrPercent,
  nonNegative,
  nonNegativeEach,
  noneExceeds,
  notDecremented,
  notMoreThan100Percent,
  oneOfAsListed,
  positiveIntOrPercent,
  selectorOf,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateClaimSpec } from '../storage/validate-claim.ts';
import { defaultClaimSpec, defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import {
  ageColumn,
  ageOf,
  containerCells,
  containersColumn,
  imagesColumn,
  table,
  text,
} from '../table/table.ts';
import {
  specPath,
  statusPath,
  templatePath,
  validateEndlessTemplate,
  validateRequiredSelector,
} from './template.ts';

function defaults(set: StatefulSet): void {
  const spec = (set.spec ??= {} as StatefulSetSpec);
  spec.podManagementPolicy ||= 'OrderedReady';
  const strategy = (spec.updateStrategy ??= {});
  if (!strategy.type) {
    strategy.type = 'RollingUpdate';
    strategy.rollingUpdate ??= {};
  }
  if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate) strategy.rollingUpdate.partition ??= 0;
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
  retention.whenDeleted ||= 'Retain';
  retention.whenScaled ||= 'Retain';
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  defaultPodTemplate((spec.template ??= {}));
  for (const claim of spec.volumeClaimTemplates ?? []) {
    defaultClaimSpec((claim.spec ??= {}));
    (claim.status ??= {}).phase ||= 'Pending';
    claim.apiVersion = 'v1';
    claim.kind = 'PersistentVolumeClaim';
  }
}

function validateUpdateStrategy(spec: StatefulSetSpec): FieldError[] {
  const path = specPath.child('updateStrategy');
  const { type = '', rollingUpdate } = spec.updateStrategy ?? {};
  if (type === '') return [fieldErrors.required(path)];
  const at = path.child('rollingUpdate');
  if (type === 'OnDelete') {
    if (!rollingUpdate) return [];
    return [fieldErrors.invalid(at, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")];
  }
  if (type !== 'RollingUpdate') {
    return [fieldErrors.invalid(path, spec.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'")];
  }
  const wrong = nonNegative(rollingUpdate?.partition, at.child('partition'));
  const max = rollingUpdate?.maxUnavailable;
  if (max == null) return wrong;
  wrong.push(...positiveIntOrPercent(max, at.child('maxUnavailable')));
  if (intOrPercent(max) === 0)
    wrong.push(fieldErrors.invalid(at.child('maxUnavailable'), max, 'cannot be 0'));
  return [...wrong, ...notMoreThan100Percent(max, at.child('maxUnavailable'))];
}

/** `old`: what cannot change is not judged again. */
function validate(set: StatefulSet, old?: StatefulSet): FieldError[] {
  const spec = set.spec ?? ({} as StatefulSetSpec);
  const management = spec.podManagementPolicy ?? '';
  const managementPath = specPath.child('podManagementPolicy');
  const wrong: FieldError[] = [];
  if (management === '') wrong.push(fieldErrors.required(managementPath));
  else if (management !== 'OrderedReady' && management !== 'Parallel') {
    wrong.push(fieldErrors.invalid(managementPath, management, "must be 'OrderedReady' or 'Parallel'"));
  }
  wrong.push(...validateUpdateStrategy(spec));
  const retention = specPath.child('persistentVolumeClaimRetentionPolicy');
  for (const name of ['whenDeleted', 'whenScaled'] as const) {
    const value = spec.persistentVolumeClaimRetentionPolicy?.[name];
    wrong.push(...oneOfAsListed(value, ['Retain', 'Delete'], retention.child(name)));
  }
  if (!old) {
    const claims = specPath.child('volumeClaimTemplates');
    for (const [i, claim] of (spec.volumeClaimTemplates ?? []).entries())
      wrong.push(...validateClaimSpec(claim.spec ?? {}, claims.index(i).child('spec')));
  }
  return [
    ...wrong,
    ...nonNegative(spec.replicas, specPath.child('replicas')),
    ...nonNegative(spec.minReadySeconds, specPath.child('minReadySeconds')),
    ...nonNegative(spec.ordinals?.start, specPath.child('ordinals.start')),
    ...(spec.serviceName && !old ? dns1123Label(spec.serviceName, specPath.child('serviceName')) : []),
    ...validateRequiredSelector(spec.selector, 'statefulset'),
    ...validateTemplate(spec, old?.spec?.template),
  ];
}

/** Against a selector that cannot be read no template is judged. */
function validateTemplate(spec: StatefulSetSpec, old: PodTemplateSpec | undefined): FieldError[] {
  if (spec.selector && !selectorOf(spec.selector))
    return [fieldErrors.invalid(specPath.child('selector'), spec.selector, '')];
  return validateEndlessTemplate(asControlled(spec), spec.selector, 'StatefulSet', old);
}

/**
 * The template but for what the controller sets in its pods: a name for each host, the service as their domain, and the
 * volumes of the claims first, in place of others of their names.
 */
function asControlled(spec: StatefulSetSpec): StatefulSetSpec['template'] {
  const given = spec.template ?? {};
  const { hostname: _name, subdomain: _domain, ...rest } = given.spec ?? { containers: [] };
  const template = given.spec ? { ...given, spec: rest } : given;
  if (!spec.volumeClaimTemplates?.length) return template;
  const names = new Set(spec.volumeClaimTemplates.map((claim) => claim.metadata?.name ?? ''));
  const claimed = [...names].map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
  const podSpec = template.spec ?? { containers: [] };
  const others = (podSpec.volumes ?? []).filter((volume) => !names.has(volume.name));
  return { ...template, spec: { ...podSpec, volumes: [...claimed, ...others] } };
}

const updatable = [
  'replicas',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'minReadySeconds',
  'ordinals',
  'persistentVolumeClaimRetentionPolicy',
] as const;

function validateUpdate(set: StatefulSet, old: StatefulSet): FieldError[] {
  const wrong = validate(set, old);
  const rest = ({ ...spec }: Partial<StatefulSetSpec>): object => {
    for (const name of updatable) delete spec[name];
    return spec;
  };
  if (!semanticallyEqual(rest(set.spec ?? {}), rest(old.spec ?? {}))) {
    const why =
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    wrong.push(fieldErrors.forbidden(specPath, why));
  }
  return wrong;
}

function validateStatusUpdate(set: StatefulSet, old: StatefulSet): FieldError[] {
  const subsets = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'];
  const all = ['replicas', ...subsets, 'observedGeneration', 'collisionCount'];
  return [
    ...nonNegativeEach(set.status, all, statusPath),
    ...noneExceeds(set.status, subsets, 'replicas', 'cannot be greater than status.replicas', statusPath),
    ...noneExceeds(
      set.status,
      ['availableReplicas'],
      'readyReplicas',
      'cannot be greater than status.readyReplicas',
      statusPath,
    ),
    ...notDecremented(
      set.status?.collisionCount,
      old.status?.collisionCount,
      statusPath.child('collisionCount'),
    ),
  ];
}

/** Upstream: pkg/apis/apps, pkg/registry/apps/statefulset. */
export const statefulSet: Strategy<StatefulSet> = {
  defaults,
  dropDisabledFields({ spec }) {
    dropDisabledPodFields(spec?.template?.spec);
    // MaxUnavailableStatefulSet is off.
    delete spec?.updateStrategy?.rollingUpdate?.maxUnavailable;
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object, old) => validateStatusUpdate(object, old),
  warnings(_context, object, old) {
    const warnings = templateWarnings(object.spec?.template, old?.spec?.template, templatePath);
    if ((object.spec?.revisionHistoryLimit ?? 0) < 0) {
      warnings.push(
        'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended',
      );
    }
    return warnings;
  },
  table: table<StatefulSet>(
    [text('Ready', 'Pods that are ready, of those wanted.'), ageColumn, containersColumn, imagesColumn],
    (object, nowMs) => [
      `${object.status?.readyReplicas ?? 0}/${object.spec?.replicas ?? 0}`,
      ageOf(object, nowMs),
      ...containerCells(object.spec?.template?.spec?.containers),
    ],
  ),
};
