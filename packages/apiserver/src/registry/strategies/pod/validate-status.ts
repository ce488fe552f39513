/** What a kubelet may report of a pod's containers and claims (upstream: ValidatePodStatusUpdate). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  Container,
  ContainerStatus,
  Pod,
  PodExtendedResourceClaimStatus,
  PodResourceClaimStatus,
  PodSpec,
  ResourceStatus,
} from '@cloudless/kube/types/core-v1';
import { dns1123Label, invalidEach, optionalOneOf } from '../../validation/fields.ts';
import { isDns1123Subdomain, isUserId } from '../../validation/names.ts';

const healths = ['Healthy', 'Unhealthy', 'Unknown'];
const maxHealthMessageBytes = 1024;

function validateUsers(
  statuses: readonly ContainerStatus[] | undefined,
  path: FieldPath,
  os: string,
): FieldError[] {
  return (statuses ?? []).flatMap(({ user }, i) => {
    const linux = user?.linux;
    if (!linux) return [];
    const at = path.index(i).child('user', 'linux');
    if (os === 'windows') return [fieldErrors.forbidden(at, 'cannot be set for a windows pod')];
    return [
      ...invalidEach(at.child('uid'), linux.uid ?? 0, isUserId(linux.uid ?? 0)),
      ...invalidEach(at.child('gid'), linux.gid ?? 0, isUserId(linux.gid ?? 0)),
      ...(linux.supplementalGroups ?? []).flatMap((group, g) =>
        invalidEach(at.child('supplementalGroups').index(g), group, isUserId(group)),
      ),
    ];
  });
}

/** Whether the container asked for what it is said to have: a resource by name, or `claim:NAME[/REQUEST]`. */
function validateAllocatedName(name: string, container: Container, path: FieldPath): FieldError[] {
  const isClaim = name.startsWith('claim:');
  const asked = isClaim
    ? (container.resources?.claims ?? []).map((claim) =>
        claim.request ? `claim:${claim.name}/${claim.request}` : `claim:${claim.name}`,
      )
    : Object.keys(container.resources?.requests ?? {});
  if (asked.includes(name)) return [];
  const why = isClaim
    ? "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
    : "must match one of the container's resource requests";
  return [fieldErrors.invalid(path.child('name'), name, why)];
}

function validateHealths(allocated: ResourceStatus, path: FieldPath): FieldError[] {
  const resources = allocated.resources ?? [];
  const ids = resources.map((resource) => resource.resourceID ?? '');
  return resources.flatMap((resource, i) => {
    const at = path.child('resources').index(i);
    const wrong = optionalOneOf(resource.health ?? '', healths, at.child('health'));
    const { message } = resource;
    if (message === '')
      wrong.push(fieldErrors.required(at.child('message'), 'must be non-empty if specified'));
    if (Buffer.byteLength(message ?? '') > maxHealthMessageBytes)
      wrong.push(fieldErrors.tooLong(at.child('message'), maxHealthMessageBytes));
    const id = ids[i] as string;
    if (ids.indexOf(id) < i) wrong.push(fieldErrors.duplicate(at.child('resourceID'), id));
    return wrong;
  });
}

function validateAllocated(
  statuses: readonly ContainerStatus[] | undefined,
  containers: readonly Container[] | undefined,
  path: FieldPath,
): FieldError[] {
  return (statuses ?? []).flatMap((status, i) => {
    const container = containers?.find(({ name }) => name === status.name);
    return (status.allocatedResourcesStatus ?? []).flatMap((allocated, j) => {
      const at = path.index(i).child('allocatedResourcesStatus').index(j);
      return [
        ...(container ? validateAllocatedName(allocated.name ?? '', container, at) : []),
        ...validateHealths(allocated, at),
      ];
    });
  });
}

function validateClaims(
  statuses: readonly PodResourceClaimStatus[] | undefined,
  spec: PodSpec,
  path: FieldPath,
): FieldError[] {
  const names = (statuses ?? []).map(({ name }) => name);
  return (statuses ?? []).flatMap((status, i) => {
    const at = path.index(i);
    const wrong: FieldError[] = [];
    if (!spec.resourceClaims?.some(({ name }) => name === status.name)) {
      const why = 'must match the name of an entry in `spec.resourceClaims`';
      wrong.push(fieldErrors.invalid(at.child('name'), status.name, why));
    }
    if (names.indexOf(status.name) < i) wrong.push(fieldErrors.duplicate(at.child('name'), status.name));
    const claim = status.resourceClaimName;
    if (claim != null)
      wrong.push(...invalidEach(at.child('resourceClaimName'), claim, isDns1123Subdomain(claim)));
    return wrong;
  });
}

function validateExtended(
  status: PodExtendedResourceClaimStatus | undefined,
  spec: PodSpec,
  path: FieldPath,
): FieldError[] {
  if (!status) return [];
  const mappings = status.requestMappings ?? [];
  const at = path.child('requestMappings');
  const wrong: FieldError[] = [];
  if (mappings.length === 0) wrong.push(fieldErrors.required(at, 'at least one request mapping is required'));
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const keys = mappings.map((one) => JSON.stringify([one.containerName, one.resourceName, one.requestName]));
  for (const [i, mapping] of mappings.entries()) {
    const here = at.index(i);
    const container = containers.findLast(({ name }) => name === mapping.containerName);
    if (!container) {
      const why = 'must match the name of an entry in spec.initContainers.name or spec.containers.name';
      wrong.push(fieldErrors.invalid(here.child('containerName'), mapping.containerName ?? '', why));
    } else if (container.resources?.requests?.[mapping.resourceName ?? ''] === undefined) {
      const why =
        'must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests';
      wrong.push(fieldErrors.invalid(here.child('resourceName'), mapping.resourceName ?? '', why));
    }
    wrong.push(...dns1123Label(mapping.requestName ?? '', path.child('requestName')));
    if (keys.indexOf(keys[i] as string) === i) continue;
    for (const name of ['containerName', 'resourceName', 'requestName'] as const)
      wrong.push(fieldErrors.duplicate(here.child(name), mapping[name]));
  }
  const claim = status.resourceClaimName ?? '';
  const claimPath = path.child('resourceClaimName');
  if (claim === '') return [...wrong, fieldErrors.required(claimPath)];
  return [...wrong, ...invalidEach(claimPath, claim, isDns1123Subdomain(claim))];
}

/** Claims of the pod, named in its status. */
export const validateClaimStatuses = ({ status, spec }: Pod, path: FieldPath): FieldError[] => [
  ...validateClaims(
    status?.resourceClaimStatuses,
    spec ?? { containers: [] },
    path.child('resourceClaimStatuses'),
  ),
  ...validateExtended(
    status?.extendedResourceClaimStatus,
    spec ?? { containers: [] },
    path.child('extendedResourceClaimStatus'),
  ),
];

/** Users and allocated resources of the containers; ephemeral ones are allocated none. */
export function validateContainerStatuses({ status, spec }: Pod, path: FieldPath): FieldError[] {
  const os = spec?.os?.name ?? 'linux';
  const lists = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const;
  const ephemeral = path.child('ephemeralContainerStatuses');
  return [
    ...lists.flatMap((name) => validateUsers(status?.[name], path.child(name), os)),
    ...validateAllocated(status?.containerStatuses, spec?.containers, path.child('containerStatuses')),
    ...validateAllocated(
      status?.initContainerStatuses,
      spec?.initContainers,
      path.child('initContainerStatuses'),
    ),
    ...(status?.ephemeralContainerStatuses ?? []).flatMap((one, i) =>
      one.allocatedResourcesStatus?.length
        ? [
            fieldErrors.forbidden(
              ephemeral.index(i).child('allocatedResourcesStatus'),
              'must not be specified in container status',
            ),
          ]
        : [],
    ),
  ];
}
