import { catalogue, type ResourceFacts } from '../../packages/kube/src/schema/catalogue.ts';
import { schemaOf, type StructSchema } from '../../packages/kube/src/schema/schema.ts';
import { samples, secondNames } from './samples.ts';

/** A resource under test with a valid object. */
export interface Tested {
  readonly facts: ResourceFacts;
  readonly struct: StructSchema;
  /** `apps/v1 Deployment`. */
  readonly label: string;
  /** Path of the collection, in namespace `default`. */
  readonly collection: string;
  /** Path of the object that stands on both servers. */
  readonly item: string;
  /** The object as it is created at the start. */
  readonly base: Record<string, unknown>;
  /** The same under a name that is free. */
  readonly second: Record<string, unknown>;
}

const apiVersionOf = ({ group, version }: ResourceFacts): string =>
  group === '' ? version : `${group}/${version}`;
export const collectionOf = (facts: ResourceFacts, namespace = 'default'): string => {
  const root = facts.group === '' ? `/api/${facts.version}` : `/apis/${facts.group}/${facts.version}`;
  return facts.namespaced ? `${root}/namespaces/${namespace}/${facts.plural}` : `${root}/${facts.plural}`;
};

/** Fields of a second object that may not be those of the first. */
function distinct(key: string, object: Record<string, unknown>): Record<string, unknown> {
  if (key === '/Pod') {
    const { automountServiceAccountToken: _automount, ...spec } = object['spec'] as Record<string, unknown>;
    return { ...object, spec };
  }
  if (key === 'batch/Job') {
    const {
      manualSelector: _manual,
      selector: _selector,
      ...spec
    } = object['spec'] as Record<string, unknown>;
    return { ...object, spec };
  }
  if (key === 'networking.k8s.io/ServiceCIDR')
    return { ...object, spec: { cidrs: ['10.110.0.0/16', 'fd01::/112'] } };
  if (key !== '/Service') return object;
  const spec = { ...(object['spec'] as object), clusterIP: '10.96.0.20', clusterIPs: ['10.96.0.20'] };
  return { ...object, spec };
}

/** Names of these say what else is in them: no other object of the kind can be made by renaming one. */
const namedByContents: ReadonlySet<string> = new Set(['APIService', 'CustomResourceDefinition']);

/**
 * A further object of the kind, under a name that ends in `suffix`; addresses end in `octet`. Undefined where a
 * name is no free choice.
 */
export function another(
  { facts, collection, second }: Tested,
  suffix: string,
  octet: number,
): { item: string; object: Record<string, unknown> } | undefined {
  if (namedByContents.has(facts.kind)) return undefined;
  const metadata = second['metadata'] as { name: string };
  // Two versions of a kind are one collection.
  const own = facts.storage?.version === facts.version && facts.storage.group === facts.group;
  const last = own ? suffix : `${suffix}-${facts.version}`;
  const name = facts.kind === 'IPAddress' ? `10.96.9.${octet}` : `${metadata.name}-${last}`;
  const object: Record<string, unknown> = { ...structuredClone(second), metadata: { ...metadata, name } };
  if (facts.kind === 'Service') {
    const clusterIP = `10.96.9.${octet}`;
    object['spec'] = { ...(second['spec'] as object), clusterIP, clusterIPs: [clusterIP] };
  }
  return { item: `${collection}/${name}`, object };
}

/** The stored resources that `group/Kind` filter and release stage let through. */
export function testedResources(options: { kinds: readonly string[]; beta: boolean }): Tested[] {
  return catalogue.flatMap((facts): Tested[] => {
    const key = `${facts.group}/${facts.kind}`;
    if (!facts.storage || !facts.verbs.includes('create')) return [];
    if (!options.beta && !facts.served) return [];
    if (options.kinds.length > 0 && !options.kinds.includes(facts.kind)) return [];
    const struct = schemaOf(facts);
    if (!struct) return [];
    const apiVersion = apiVersionOf(facts);
    const sample = samples[key] ?? { metadata: { name: 'sample' } };
    const metadata = sample['metadata'] as Record<string, unknown>;
    const name = String(metadata['name']);
    const base = { apiVersion, kind: facts.kind, ...structuredClone(sample) };
    const collection = collectionOf(facts);
    const second = distinct(key, {
      ...structuredClone(base),
      metadata: { ...metadata, name: secondNames[key] ?? `${name}-2` },
    });
    return [
      {
        facts,
        struct,
        label: `${apiVersion} ${facts.kind}`,
        collection,
        item: `${collection}/${name}`,
        base,
        second,
      },
    ];
  });
}
