import type { KubeObject } from '@cloudless/kube/object';

/** What a YAML text says, as JSON with upstream's text of each repeated key; or why it cannot be read. */
export type ReadYaml =
  | { readonly json: Uint8Array; readonly duplicates: readonly string[] }
  | { readonly failure: string };

/** What a write brings: bytes of a media type over the wire, an object from a client in this process. */
export type Body =
  | {
      readonly type: 'bytes';
      readonly bytes: Uint8Array;
      readonly mediaType: string;
      /** Of long YAML, what has been read of it already. */
      readonly yaml?: ReadYaml;
    }
  | { readonly type: 'object'; readonly object: unknown };

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface BodyKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Another apiVersion, served no longer, in which clients still send this kind, unchanged. */
  readonly formerly?: string;
}

/**
 * Turns bodies into objects: parse, check apiVersion and kind, judge fields against the schema, drop nulls and
 * unknown fields. Throws `StatusError` 400 and 415 in upstream's words.
 */
export interface BodyDecoder {
  /** `warn` gets one text per problem under `Warn`. The object is the caller's own. */
  decode(
    body: Body,
    expected: BodyKind,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject;
  /**
   * The same for the result of a patch, which is an object already and is consumed. `patch` names its unknown and
   * duplicate fields apart from what was stored before.
   */
  decodePatched(
    object: unknown,
    expected: BodyKind,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject;
  /** A patch's own document, JSON or YAML. */
  parsePatch(body: Body): unknown;
  /** What is applied, JSON or YAML, as it is; `duplicates` says what a strict decoder would of repeated keys. */
  parseApplied(body: Body): { value: KubeObject; duplicates: string | undefined };
}

/** Applies one patch to an object and returns a new one. `kind` selects list keys for a strategic merge. */
export type ApplyPatch = (
  type: 'json' | 'merge' | 'strategic',
  object: KubeObject,
  patch: unknown,
  kind: BodyKind,
) => unknown;
