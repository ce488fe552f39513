// The shape of src/generated/schema.json and structs.txt, shared by their writer (scripts/generate/schema.ts) and
// reader (schema.ts).

/** Bits of a field's presence rules. */
export const flags = {
  /** A Go pointer: a zero value is something else than an absent one. */
  pointer: 1,
  /** Left out of JSON when zero (`omitempty`). */
  omitEmpty: 2,
  /** Left out of JSON when the struct is zero (`omitzero`). */
  omitZero: 4,
  /** Required by OpenAPI. */
  required: 8,
} as const;

export interface CompactExtra {
  /** x-kubernetes-list-type */
  l?: 'atomic' | 'set' | 'map';
  /** x-kubernetes-list-map-keys */
  k?: string[];
  /** x-kubernetes-map-type */
  m?: 'atomic' | 'granular';
  /** x-kubernetes-patch-strategy: `merge`, `retainKeys`, `replace`, joined by commas */
  s?: string;
  /** x-kubernetes-patch-merge-key */
  g?: string;
  /** Declared default. */
  d?: unknown;
  /** The embedded messages on the way to the field: number and Go name of each. */
  v?: Array<[number: number, goName: string]>;
}

/**
 * `type`: `string`, `bool`, `int32`, `int64`, `float64`, `bytes`, `any`; `[]T`; `{K}V`; a struct's name; any but a
 * struct may carry a Go name, `core.v1.Protocol=string`. A line of structs.txt is a name, a space, and the JSON of
 * the fields.
 */
export type CompactField = [name: string, type: string, number: number, bits: number, extra?: CompactExtra];

export interface CompactResource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  singular: string;
  namespaced: boolean;
  verbs: string[];
  shortNames: string[];
  categories: string[];
  /** apiVersion of the stored form; empty for what is not stored. */
  storage: string;
  subresources: Record<string, { kind: string; apiVersion: string; verbs: string[] }>;
}

export interface CompactSchema {
  /** `apps/v1/Deployment` → struct. */
  kinds: Record<string, string>;
  /** Kinds that every group version has (`Status`, `DeleteOptions`, `WatchEvent`, …) → struct. */
  metaKinds: Record<string, string>;
  /** Structs that apply as one value (x-kubernetes-map-type: atomic). */
  atomic: string[];
  /** Named lists that are messages on the wire. */
  wrapped: string[];
  /** Go name of a string type → its values. */
  enums: Record<string, string[]>;
  groupVersions: Record<string, { groupPriority?: number; versionPriority?: number; served: boolean }>;
  resources: CompactResource[];
}
