/** Kinds of which only defaults and columns are particular here (upstream: pkg/printers/internalversion). */
import type { StorageVersion } from '@cloudless/kube/types/apiserverinternal-v1alpha1';
import type { ClusterTrustBundle, PodCertificateRequest } from '@cloudless/kube/types/certificates-v1beta1';
import type { LeaseCandidate } from '@cloudless/kube/types/coordination-v1beta1';
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { RuntimeClass } from '@cloudless/kube/types/node-v1';
import type { Strategy } from '../../strategy.ts';
import { dns1123Label, immutable } from '../../validation/fields.ts';
import { validateLabels } from '../../validation/metadata.ts';
import { roundResources } from '../../validation/quantities.ts';
import { validateOverhead } from '../pod/validate-resources.ts';
import { validateTolerations } from '../pod/validate-scheduling.ts';
import { ageColumn, ageOf, listCell, table, text } from '../table/table.ts';

const handlerPath = FieldPath.of('handler');

const validateHandler = (handler: string | undefined): FieldError[] =>
  handler ? dns1123Label(handler, handlerPath) : [fieldErrors.required(handlerPath)];

/** Where pods of a class may run; every toleration once. */
function validateScheduling({ scheduling }: RuntimeClass): FieldError[] {
  const path = FieldPath.of('scheduling');
  const at = path.child('tolerations');
  const tolerations = scheduling?.tolerations ?? [];
  const keys = tolerations.map(({ tolerationSeconds: _seconds, ...key }) => JSON.stringify(key));
  return [
    ...validateLabels(scheduling?.nodeSelector, path.child('nodeSelector')),
    ...validateTolerations(tolerations, at),
    ...tolerations.flatMap((toleration, i) =>
      keys.indexOf(keys[i] as string) < i ? [fieldErrors.duplicate(at.index(i), toleration)] : [],
    ),
  ];
}

const validateRuntimeClass = (object: RuntimeClass): FieldError[] => [
  ...validateHandler(object.handler),
  ...validateOverhead(object.overhead?.podFixed, FieldPath.of('overhead')),
  ...validateScheduling(object),
];

export const runtimeClass: Strategy<RuntimeClass> = {
  defaults: (object) => roundResources(object.overhead?.podFixed),
  validate: (_context, object) => validateRuntimeClass(object),
  validateUpdate: (_context, object, old) => [
    ...validateHandler(object.handler),
    ...validateOverhead(object.overhead?.podFixed, FieldPath.of('overhead')),
    ...immutable(object.handler, old.handler, handlerPath),
    ...validateScheduling(object),
  ],
  table: table<RuntimeClass>([text('Handler', 'What runs its pods.'), ageColumn], (object, nowMs) => [
    object.handler,
    ageOf(object, nowMs),
  ]),
};

export const storageVersion: Strategy<StorageVersion> = {
  table: table<StorageVersion>(
    [
      text('CommonEncodingVersion', 'What all servers write.'),
      text('StorageVersions', 'What each server writes.'),
      ageColumn,
    ],
    (object, nowMs) => {
      const servers = (object.status?.storageVersions ?? []).map(
        (one) => `${one.apiServerID}=${one.encodingVersion}`,
      );
      return [
        object.status?.commonEncodingVersion ?? '<unset>',
        servers.length === 0 ? '<unset>' : listCell(servers, 3),
        ageOf(object, nowMs),
      ];
    },
  ),
};

export const leaseCandidate: Strategy<LeaseCandidate> = {
  table: table<LeaseCandidate>(
    [
      text('LeaseName', 'The lease it stands for.'),
      text('BinaryVersion', 'Version of its program.'),
      text('EmulationVersion', 'Version it behaves as.'),
      ageColumn,
    ],
    (object, nowMs) => [
      object.spec?.leaseName ?? '',
      object.spec?.binaryVersion ?? '',
      object.spec?.emulationVersion ?? '',
      ageOf(object, nowMs),
    ],
  ),
};

export const clusterTrustBundle: Strategy<ClusterTrustBundle> = {
  selectableFields: { 'spec.signerName': (object) => object.spec?.signerName ?? '' },
  table: table<ClusterTrustBundle>([text('SignerName', 'Whose certificates they are.')], (object) => [
    object.spec?.signerName || '<none>',
  ]),
};

export const podCertificateRequest: Strategy<PodCertificateRequest> = {
  defaults(object) {
    if (object.spec) object.spec.maxExpirationSeconds ??= 86_400;
  },
  selectableFields: {
    'spec.signerName': (object) => object.spec?.signerName ?? '',
    'spec.podName': (object) => object.spec?.podName ?? '',
    'spec.nodeName': (object) => object.spec?.nodeName ?? '',
  },
  table: table<PodCertificateRequest>(
    [
      text('PodName', 'The pod.'),
      text('ServiceAccountName', 'Its service account.'),
      text('NodeName', 'Its node.'),
      text('SignerName', 'Who shall sign.'),
      text('State', 'What became of it.'),
    ],
    (object) => [
      object.spec?.podName ?? '',
      object.spec?.serviceAccountName ?? '',
      object.spec?.nodeName ?? '',
      object.spec?.signerName ?? '',
      object.status?.conditions?.find((one) => ['Issued', 'Denied', 'Failed'].includes(one.type))?.type ??
        'Pending',
    ],
  ),
};
