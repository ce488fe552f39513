/**
 * Fields that a request to a (sub)resource cannot set: nobody comes to own them by it (GetResetFields of upstream's
 * strategies, kubernetes/pkg/registry; the same in every version of a kind).
 */
import type { Resource } from '@cloudless/kube/object';
import { fieldElement, type PathElement } from '@cloudless/kube/structured-merge/path-element';
import { PathSet } from '@cloudless/kube/structured-merge/path-set';
import type { SetFilter } from '@cloudless/kube/structured-merge/updater';
import type { Served } from '../registry/catalogue.ts';

const specAndMetadata = PathSet.of(['spec'], ['metadata']);
const spec = PathSet.of(['spec']);
const status = PathSet.of(['status']);

/** Kinds whose `/status` resets all of metadata. */
const statusOnly: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy',
  'apiregistration.k8s.io/APIService',
  'flowcontrol.apiserver.k8s.io/FlowSchema',
  'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration',
  'internal.apiserver.k8s.io/StorageVersion',
  'networking.k8s.io/ServiceCIDR',
  'resource.k8s.io/DeviceTaintRule',
  'resource.k8s.io/ResourceClaim',
  'resource.k8s.io/ResourcePoolStatusRequest',
  'scheduling.k8s.io/PodGroup',
  'storage.k8s.io/VolumeAttachment',
  'storagemigration.k8s.io/StorageVersionMigration',
]);

/** What differs from the rule: `group/Kind`, `group/Kind/subresource`. */
const exceptions: Readonly<Record<string, PathSet>> = {
  '/Pod/status': PathSet.of(['spec'], ['metadata', 'deletionTimestamp'], ['metadata', 'ownerReferences']),
  'apps/Deployment/status': PathSet.of(['spec'], ['metadata', 'labels']),
  'certificates.k8s.io/CertificateSigningRequest': PathSet.of(['spec'], ['status']),
  'certificates.k8s.io/CertificateSigningRequest/status': PathSet.of(['spec'], ['status', 'conditions']),
  'certificates.k8s.io/CertificateSigningRequest/approval': PathSet.of(['spec'], ['status', 'certificate']),
  '/Namespace/finalize': status,
};

/** `*` stands for every item. */
type Pattern = readonly PathElement[];
const pattern = (...names: string[]): Pattern =>
  names.map((name) => (name === '*' ? '*' : fieldElement(name)));

/** Subresources that set a few fields and nothing else. */
const includes: Readonly<Record<string, readonly Pattern[]>> = {
  '/Pod/ephemeralcontainers': [pattern('spec', 'ephemeralContainers')],
  '/Pod/resize': [
    pattern('spec', 'containers', '*', 'resources'),
    pattern('spec', 'containers', '*', 'resizePolicy'),
    pattern('spec', 'initContainers', '*', 'resources'),
    pattern('spec', 'initContainers', '*', 'resizePolicy'),
  ],
};

/** The paths that go along one of the patterns to its end (FilterIncludeMatches). */
function include(set: PathSet, patterns: readonly Pattern[]): PathSet {
  if (patterns.some((each) => each.length === 0)) return set;
  const result = new PathSet();
  const along = (element: PathElement): Pattern[] =>
    patterns.filter((each) => each[0] === '*' || each[0] === element).map((each) => each.slice(1));
  for (const element of set.members) if (along(element).length > 0) result.add(element);
  for (const element of set.inner) {
    const further = along(element);
    if (further.length > 0) result.addChild(element, include(set.below(element), further));
  }
  return result;
}

const except =
  (reset: PathSet): SetFilter =>
  (set) =>
    set.recursiveDifference(reset);

function resetOf(resource: Resource, subresource: string, hasStatus: boolean): PathSet | undefined {
  const kind = `${resource.group}/${resource.kind}`;
  const exception = exceptions[subresource === '' ? kind : `${kind}/${subresource}`];
  if (exception) return exception;
  if (subresource === '') return hasStatus ? status : undefined;
  if (subresource !== 'status') return undefined;
  return statusOnly.has(kind) ? specAndMetadata : spec;
}

/** The filter of a resource or of one of its subresources; undefined: every path counts. */
export function resetFilter(served: Served, subresource: string): SetFilter | undefined {
  const { resource, subresources, custom } = served;
  const included = includes[`${resource.group}/${resource.kind}/${subresource}`];
  if (included) return (set) => include(set, included);
  const reset =
    custom && subresource === 'status'
      ? specAndMetadata
      : resetOf(resource, subresource, subresources.has('status'));
  return reset && except(reset);
}
