import type { NamespaceCondition } from '@cloudless/kube/types/core-v1';

/** What is left of a namespace after a pass. */
export interface Remaining {
  /** Number of objects by the words `RESOURCE has`. */
  objects: Map<string, number>;
  /** Number of objects that wait for each finalizer. */
  finalizers: Map<string, number>;
  failures: Error[];
  /** Groups that discovery could not read. */
  discovery: string[];
}

type Condition = Omit<NamespaceCondition, 'lastTransitionTime'> & { status: 'True' | 'False' };

const byName = ([a]: [string, number], [b]: [string, number]): number => (a < b ? -1 : 1);

const make = (type: string, bad: boolean, good: [string, string], trouble: [string, string]): Condition => ({
  type,
  status: bad ? 'True' : 'False',
  reason: bad ? trouble[0] : good[0],
  message: bad ? trouble[1] : good[1],
});

/** Upstream's five conditions (pkg/controller/namespace/deletion/status_condition_utils.go). */
export function contentConditions(remaining: Remaining): Condition[] {
  const deletion = remaining.failures.map((error) => error.message).sort();
  const objects = [...remaining.objects]
    .sort(byName)
    .map(([what, count]) => `${what} ${count} resource instances`);
  const finalizers = [...remaining.finalizers]
    .sort(byName)
    .map(([name, count]) => `${name} in ${count} resource instances`);
  return [
    make(
      'NamespaceDeletionDiscoveryFailure',
      remaining.discovery.length > 0,
      ['ResourcesDiscovered', 'All resources successfully discovered'],
      [
        'DiscoveryFailed',
        `Discovery failed for some groups, ${remaining.discovery.length} failing: ${remaining.discovery.join(', ')}`,
      ],
    ),
    make(
      'NamespaceDeletionGroupVersionParsingFailure',
      false,
      ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
      ['GroupVersionParsingFailed', ''],
    ),
    make(
      'NamespaceDeletionContentFailure',
      deletion.length > 0,
      ['ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
      [
        'ContentDeletionFailed',
        `Failed to delete all resource types, ${deletion.length} remaining: ${deletion.join(', ')}`,
      ],
    ),
    make(
      'NamespaceContentRemaining',
      objects.length > 0,
      ['ContentRemoved', 'All content successfully removed'],
      ['SomeResourcesRemain', `Some resources are remaining: ${objects.join(', ')}`],
    ),
    make(
      'NamespaceFinalizersRemaining',
      finalizers.length > 0,
      ['ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
      [
        'SomeFinalizersRemain',
        `Some content in the namespace has finalizers remaining: ${finalizers.join(', ')}`,
      ],
    ),
  ];
}
