/** What serving custom kinds needs once there is a definition; `definitions.ts` loads it then. */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionStatus,
} from '@cloudless/kube/types/apiextensions-v1';
import { equalJson } from '../storage/codec.ts';
import type { ConversionClients } from './conversion/webhook-converter.ts';
import { nextStatus } from './definition/conditions.ts';
import { compareVersions, isTrue, storageVersionOf } from './definition/facts.ts';
import { schemaProblems } from './definition/schema-problems.ts';
import { DefinedKind } from './kind/custom-kind.ts';
import type { CompileRules } from './kind/rules.ts';
import { rulesOf, schemaHas } from './schema/structural.ts';

export { finalizeDefinition } from './definition/finalize.ts';

let compileRules: CompileRules | undefined;

/** Whether objects of the definition are judged by CEL rules. */
const hasRules = ({ spec }: CustomResourceDefinition): boolean =>
  spec.versions.some(({ schema }) => schemaHas(schema?.openAPIV3Schema, (each) => rulesOf(each).length > 0));

async function loadRules(): Promise<void> {
  compileRules ??= (await import('../cel/index.ts')).compileRules;
}

const noRules: CompileRules = () => undefined;

/** Whether a kind still serves what its definition says. */
const isCurrent = (kind: DefinedKind, { metadata, spec, status }: CustomResourceDefinition): boolean =>
  kind.definition.metadata.uid === metadata.uid &&
  kind.definition.metadata.generation === metadata.generation &&
  equalJson(kind.definition.status?.acceptedNames, status?.acceptedNames) &&
  kind.storage.version === storageVersionOf({ metadata, spec })?.name;

/**
 * The kinds of all established definitions, by name. A kind whose definition still says the same stays the same
 * object. `missing` resolves when rules that some of them need are loaded: they are left out until then.
 */
export function servedKinds(
  definitions: Iterable<CustomResourceDefinition>,
  before: ReadonlyMap<string, DefinedKind>,
  conversions: ConversionClients,
): { kinds: Map<string, DefinedKind>; changed: boolean; missing: Promise<void> | undefined } {
  const kinds = new Map<string, DefinedKind>();
  let changed = false;
  let missing: Promise<void> | undefined;
  for (const definition of definitions) {
    if (!isTrue(definition, 'Established') || !storageVersionOf(definition)) continue;
    const name = definition.metadata.name ?? '';
    const known = before.get(name);
    if (known && isCurrent(known, definition)) {
      if (known.refresh(definition)) changed = true;
      kinds.set(name, known);
      continue;
    }
    const ruled = hasRules(definition);
    if (ruled && !compileRules) {
      missing ??= loadRules();
      // What is served goes on until its successor can be.
      if (known) kinds.set(name, known);
      continue;
    }
    changed = true;
    kinds.set(
      name,
      new DefinedKind(definition, ruled ? (compileRules as CompileRules) : noRules, conversions),
    );
  }
  return { kinds, changed: changed || kinds.size !== before.size, missing };
}

/** By group, version and plural; groups come after the built-in ones (priority 1000 and 100 upstream). */
export function inDiscoveryOrder(kinds: Iterable<DefinedKind>): DefinedKind[] {
  return [...kinds].sort(
    (a, b) =>
      (a.storage.group < b.storage.group ? -1 : a.storage.group > b.storage.group ? 1 : 0) ||
      compareVersions(a.storage.version, b.storage.version) ||
      (a.storage.plural < b.storage.plural ? -1 : 1),
  );
}

/** Definitions' schemas are looked at once per generation. */
const problems = new WeakMap<CustomResourceDefinition['spec'], readonly string[]>();

/** The status that a definition should have; undefined when it has it. */
export function statusOf(
  definition: CustomResourceDefinition,
  all: Iterable<CustomResourceDefinition>,
  nowMs: number,
): CustomResourceDefinitionStatus | undefined {
  let found = problems.get(definition.spec);
  if (!found) problems.set(definition.spec, (found = schemaProblems(definition)));
  return nextStatus(definition, all, found, nowMs);
}

/** Whether others may have a name that the definition held. */
export function gaveUpNames(
  { status: before }: CustomResourceDefinition,
  { acceptedNames: now }: CustomResourceDefinitionStatus,
): boolean {
  return before?.acceptedNames?.plural !== '' && !equalJson(before?.acceptedNames, now);
}
