import {
  duplicateFields,
  inReadingOrder,
  JsonSyntaxError,
  parseJson,
  stringifyJson,
} from '@cloudless/kube/codec/json';
import { fieldErrors, FieldPath, goQuote } from '@cloudless/kube/field';
import { LoadError } from '@cloudless/kube/lazy';
import type { KubeObject } from '@cloudless/kube/object';
import { decodeObject, duplicateFieldErrors, strictDecodingMessage } from '@cloudless/kube/schema/decode';
import { schemaOf, schemaOfObject, type StructSchema } from '@cloudless/kube/schema/schema';
import { errors, StatusError } from '@cloudless/kube/status';
import { cloneJson } from '../storage/codec.ts';
import type { CustomKind, CustomObject } from '../registry/custom-kind.ts';
import { hasDuplicates } from './duplicates.ts';
import type { Body, BodyDecoder, BodyKind, FieldValidation } from './body.ts';

/** Codecs that load on first use. */
export interface DecoderParts {
  /** Parses YAML; `onDuplicate` gets upstream's text of each repeated key. */
  parseYaml(text: string, onDuplicate: (text: string) => void): unknown;
  /** An object from `k8s\0` bytes, unknown and mistyped fields impossible. */
  readProtobuf(bytes: Uint8Array): KubeObject;
  /** What serves a custom kind. */
  customKind?(kind: BodyKind): CustomKind | undefined;
}

const bodyMediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const apiVersionOf = (kind: BodyKind): string =>
  kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;

/** A body that does not decode; `why` alone is what a patch reports. */
/** A body that is no object of its kind. */
export class CannotDecode extends StatusError {
  /** Without what the message says of the kind. */
  readonly why: string;

  constructor(why: string, message: string) {
    super(400, 'BadRequest', message);
    this.why = why;
  }
}

/** 422 for a patch whose result does not decode (handlers/patch.go). */
function notPatched(object: unknown, why: string, cause?: CannotDecode): StatusError {
  const { code, reason, message, details } = errors.invalid({ group: '', kind: '' }, '', [
    fieldErrors.invalid(FieldPath.of('patch'), stringifyJson(object), why),
  ]);
  return new StatusError(code, reason, message, details, cause);
}

/** `Pod in version "v1" cannot be handled as a Pod: …` (handlers/rest.go, transformDecodeError). */
function cannotBeHandled(
  kind: BodyKind,
  given: { apiVersion?: unknown; kind?: unknown },
  why: string,
): CannotDecode {
  const name = typeof given.kind === 'string' && given.kind !== '' ? given.kind : kind.kind;
  const apiVersion =
    typeof given.apiVersion === 'string' && given.apiVersion !== '' ? given.apiVersion : apiVersionOf(kind);
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return new CannotDecode(
    why,
    `${name} in version ${JSON.stringify(version)} cannot be handled as a ${kind.kind}: ${why}`,
  );
}

/** Why a body's apiVersion and kind cannot be read, in Go's words; undefined when they can. */
function typeMetaError(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) {
    const goType =
      'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    return `json: cannot unmarshal ${goKind(value)} into Go value of type ${goType}`;
  }
  for (const name of ['apiVersion', 'kind'] as const) {
    const member = (value as Record<string, unknown>)[name];
    if (member === undefined || member === null || typeof member === 'string') continue;
    return `json: cannot unmarshal ${goKind(member)} into Go struct field .${name} of type string`;
  }
  return undefined;
}

/** What Go calls a JSON value in errors. */
const goKind = (value: unknown): string =>
  Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;

const summaryBytes = 30;

/** The beginning of a body, in hexadecimal unless it looks like an object (handlers/rest.go, summarizeData). */
function summary(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<empty>';
  const isObject = bytes[0] === 0x7b;
  const text = Buffer.from(bytes.subarray(0, summaryBytes)).toString(isObject ? 'utf8' : 'hex');
  return bytes.length > summaryBytes ? `${text} ...` : text;
}

function unrecognized(expected: BodyKind, why: string, bytes: Uint8Array): StatusError {
  return unreadable(expected, `couldn't get version/kind; json parse error: ${why}`, bytes);
}

/** 400 for a body in which no object is found (handlers/rest.go, transformDecodeError). */
function unreadable(expected: BodyKind, why: string, bytes: Uint8Array): StatusError {
  if (isMetaKind(expected)) return errors.badRequest(why);
  return errors.badRequest(
    `the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summary(bytes)})`,
  );
}

/** Kinds that every group version accepts under its own name, such as DeleteOptions. */
const isMetaKind = (kind: BodyKind): boolean => kind.group === 'meta.k8s.io';

/** Whether a text is longer than what the slow reader of YAML may take while others wait. */
export const isLong = (bytes: Uint8Array): boolean => bytes.length > 32 * 1024;

/** Apply patches are YAML; most of them are JSON, which begins with a brace. */
export function isYamlText(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) continue;
    return byte !== 0x7b;
  }
  return false;
}

export class Decoder implements BodyDecoder {
  readonly #parts: DecoderParts;

  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  decode(
    body: Body,
    expected: BodyKind,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject {
    if (body.type === 'object')
      return this.#judge(ownCopy(body.object as KubeObject), expected, 'Ignore', [], warn);
    const problems: string[] = [];
    const value = this.#parse(body, expected, validation === 'Ignore' ? undefined : problems);
    const wrong = typeMetaError(value);
    if (wrong !== undefined) throw unrecognized(expected, wrong, body.bytes);
    if (!isMetaKind(expected) && !schemaOf(expected))
      mustNameTypes(value as KubeObject, expected, body.bytes);
    // Upstream's decoder of built-in kinds finds repeated and unknown keys in one reading.
    const isJson = problems.length > 0 && schemaOf(expected) && body.mediaType !== 'application/yaml';
    const sorted = isJson ? (found: string[]) => inReadingOrder(body.bytes, found) : undefined;
    return this.#judge(value as KubeObject, expected, validation, problems, warn, sorted);
  }

  decodePatched(
    object: unknown,
    expected: BodyKind,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject {
    const wrong = typeMetaError(object);
    if (object === null || wrong !== undefined) {
      throw notPatched(
        object,
        wrong === undefined
          ? 'the patch leaves no object'
          : `couldn't get version/kind; json parse error: ${wrong}`,
      );
    }
    const { apiVersion, metadata } = object as KubeObject;
    if (!apiVersion) {
      // Upstream's decoder does not get far enough to see the name.
      const name = metadata?.name ?? '';
      throw errors.badRequest(
        `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
      );
    }
    try {
      // The decoder of custom objects consumes them, and a refusal shows what it refuses.
      const shown = validation === 'Strict' && !schemaOf(expected);
      const judged = shown ? cloneJson(object as KubeObject) : (object as KubeObject);
      return this.#judge(judged, expected, validation, [], warn);
    } catch (cause) {
      throw cause instanceof CannotDecode ? notPatched(object, cause.why, cause) : cause;
    }
  }

  parsePatch(body: Body): unknown {
    if (body.type === 'object') return body.object;
    try {
      return parseJson(body.bytes);
    } catch (cause) {
      const why = cause instanceof JsonSyntaxError ? cause.reason : String(cause);
      throw errors.badRequest(`error decoding patch: ${why}`);
    }
  }

  parseApplied(body: Body): { value: KubeObject; duplicates: string | undefined } {
    const duplicates: string[] = [];
    const value = body.type === 'object' ? body.object : this.#applied(body, duplicates);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const what = Array.isArray(value) ? 'array' : typeof value;
      throw errors.badRequest(
        `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${what} into Go value of type map[string]interface {}`,
      );
    }
    const texts = ['yaml: unmarshal errors:', ...duplicates.map((text) => `  ${text}`)].join('\n');
    return {
      value: value as KubeObject,
      duplicates: duplicates.length === 0 ? undefined : `error converting YAML to JSON: ${texts}`,
    };
  }

  /** JSON is YAML, too; only what repeats keys is read as such, for the words. */
  #applied(body: Body & { type: 'bytes' }, duplicates: string[]): unknown {
    if (!isYamlText(body.bytes)) {
      try {
        const value = parseJson(body.bytes);
        if (!hasDuplicates(body.bytes, value)) return value;
        if (isLong(body.bytes)) {
          for (const path of duplicateFields(body.bytes))
            duplicates.push(`key ${goQuote(path)} already set in map`);
          return value;
        }
      } catch (cause) {
        if (!(cause instanceof JsonSyntaxError)) throw cause;
        if (isLong(body.bytes)) throw errors.badRequest(`error decoding YAML: ${cause.reason}`);
      }
    }
    try {
      return this.#readYaml(body, (duplicate) => duplicates.push(duplicate));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw errors.badRequest(`error decoding YAML: error converting YAML to JSON: ${why}`);
    }
  }

  #readYaml({ bytes, yaml }: Body & { type: 'bytes' }, onDuplicate: (text: string) => void): unknown {
    if (!yaml) return this.#parts.parseYaml(Buffer.from(bytes).toString('utf8'), onDuplicate);
    if ('failure' in yaml) throw new Error(yaml.failure);
    for (const text of yaml.duplicates) onDuplicate(text);
    return parseJson(yaml.json);
  }

  /** The value of a body; duplicate keys go to `problems`. */
  #parse(body: Body & { type: 'bytes' }, expected: BodyKind, problems: string[] | undefined): unknown {
    switch (body.mediaType) {
      case 'application/vnd.kubernetes.protobuf':
        return this.#protobuf(body.bytes, expected);
      case 'application/yaml':
        return this.#yaml(body, expected, problems);
      case '':
      case 'application/json':
      case 'text/json':
        return this.#json(body.bytes, expected, problems);
      default:
        throw errors.unsupportedMediaType(
          `the body of the request was in an unknown format - accepted media types include: ${bodyMediaTypes.join(', ')}`,
        );
    }
  }

  #protobuf(bytes: Uint8Array, expected: BodyKind): unknown {
    try {
      return this.#parts.readProtobuf(bytes);
    } catch (cause) {
      if (cause instanceof LoadError) throw cause;
      throw unreadable(expected, cause instanceof Error ? cause.message : String(cause), bytes);
    }
  }

  #json(bytes: Uint8Array, expected: BodyKind, problems: string[] | undefined): unknown {
    try {
      const value = parseJson(bytes);
      if (problems && hasDuplicates(bytes, value))
        problems.push(...duplicateFieldErrors(duplicateFields(bytes)));
      return value;
    } catch (cause) {
      if (cause instanceof JsonSyntaxError) {
        throw unrecognized(expected, cause.reason, bytes);
      }
      throw cause;
    }
  }

  #yaml(body: Body & { type: 'bytes' }, expected: BodyKind, problems: string[] | undefined): unknown {
    try {
      return this.#readYaml(body, (text) => problems?.push(text));
    } catch (cause) {
      if (cause instanceof LoadError) throw cause;
      throw unreadable(expected, cause instanceof Error ? cause.message : String(cause), body.bytes);
    }
  }

  #decodeObject(value: KubeObject, expected: BodyKind, wantsUnknown: boolean): CustomObject {
    const schema = schemaOf(expected);
    if (schema) {
      const { object, strictErrors } = decodeObject(schema, value);
      return { object: object as unknown as KubeObject, strictErrors };
    }
    const custom = this.#parts.customKind?.(expected);
    if (custom) return custom.decode(expected.version, value, wantsUnknown);
    throw new StatusError(500, 'InternalError', `no schema of ${expected.kind} in ${apiVersionOf(expected)}`);
  }

  /** A new object of the expected kind, as Go's decoder would leave it. */
  #judge(
    value: KubeObject,
    expected: BodyKind,
    validation: FieldValidation,
    problems: string[],
    warn: (text: string) => void,
    sorted?: (found: string[]) => string[],
  ): KubeObject {
    const types = checkTypes(value, expected);
    let decoded: CustomObject;
    try {
      decoded = this.#decodeObject(value, expected, validation !== 'Ignore');
    } catch (cause) {
      if (cause instanceof StatusError) throw cause;
      throw cannotBeHandled(expected, value, cause instanceof Error ? cause.message : String(cause));
    }
    const object = Object.assign(decoded.object, types);
    object.metadata ??= {};
    keepReset(object, value);
    if (validation === 'Ignore') return object;
    const found = [...problems, ...decoded.strictErrors];
    if (found.length === 0) return object;
    const all = sorted ? sorted(found) : found;
    if (validation === 'Strict') throw cannotBeHandled(expected, value, strictDecodingMessage(all));
    for (const text of all) warn(text);
    return object;
  }
}

const notRegistered = (given: { apiVersion: string; kind: string }): string =>
  `no kind ${goQuote(given.kind)} is registered for version ${goQuote(given.apiVersion)} in scheme "pkg/runtime/scheme.go:111"`;

/** Go's words for a kind that is known, but not the one wanted. */
function unknownConversion(given: { apiVersion: string; kind: string }, expected: BodyKind): string {
  const goType = (schema: StructSchema | undefined): string =>
    schema?.name.split('.').slice(-2).join('.') ?? '';
  // The servers of these groups have schemes of their own, which know no other groups' kinds.
  const ownScheme = expected.group === 'apiregistration.k8s.io' || expected.group === 'apiextensions.k8s.io';
  if (ownScheme) return notRegistered(given);
  // Events of both groups are one type inside.
  const inner = expected.group === 'events.k8s.io' ? 'core' : schemaOf(expected)?.name.split('.')[0];
  const internal = `${inner ?? ''}.${expected.kind}`;
  return `converting (${goType(schemaOfObject(given))}) to (${internal}): unknown conversion`;
}

/** A copy to change, but for managedFields: they are large, frozen where they came from here, and never changed. */
function ownCopy(object: KubeObject): KubeObject {
  const managedFields = object.metadata?.managedFields;
  if (!managedFields || !Object.isFrozen(managedFields)) return cloneJson(object);
  const { managedFields: _shared, ...metadata } = object.metadata;
  const copy: KubeObject = cloneJson({ ...object, metadata });
  copy.metadata.managedFields = managedFields;
  return copy;
}

/** An empty list of managedFields is a wish, that they be forgotten: it is not the same as none. */
function keepReset({ metadata }: KubeObject, value: KubeObject): void {
  const given: unknown = (value as Partial<KubeObject>).metadata?.managedFields;
  if (Array.isArray(given) && given.length === 0) metadata.managedFields = [];
}

/** apiVersion and kind, filled in where absent; others than expected are refused. */
function checkTypes(object: KubeObject, expected: BodyKind): { apiVersion: string; kind: string } {
  const apiVersion = apiVersionOf(expected);
  const kind = object.kind ?? '';
  const given = object.apiVersion === expected.formerly ? '' : (object.apiVersion ?? '');
  if (isMetaKind(expected) && (kind === '' || kind === expected.kind))
    return { apiVersion, kind: expected.kind };
  const named = { kind: kind || expected.kind, apiVersion: given || apiVersion };
  // Custom kinds are in no scheme: another kind than theirs is what validation finds.
  if (!isMetaKind(expected) && !schemaOf(expected)) return checkCustomTypes(named, apiVersion);
  const known = schemaOfObject(named) !== undefined;
  if (!known) {
    const why = notRegistered(named);
    throw isMetaKind(expected) ? errors.badRequest(why) : cannotBeHandled(expected, named, why);
  }
  if (named.kind !== expected.kind) {
    if (isMetaKind(expected)) throw errors.badRequest(notRegistered(named));
    throw cannotBeHandled(expected, named, unknownConversion(named, expected));
  }
  if (given !== '' && given !== apiVersion) {
    throw errors.badRequest(
      `the API version in the data (${given}) does not match the expected API version (${apiVersion})`,
    );
  }
  return { apiVersion, kind: expected.kind };
}

/** The bodies of custom resources say what they are; those of built-in kinds need not. */
function mustNameTypes({ apiVersion, kind }: KubeObject, expected: BodyKind, bytes: Uint8Array): void {
  if (!kind) {
    const text = Buffer.from(bytes).toString('utf8');
    throw errors.badRequest(
      `the object provided is unrecognized (must be of type ${expected.kind}): Object 'Kind' is missing in '${text}' (${summary(bytes)})`,
    );
  }
  if (apiVersion) return;
  throw errors.badRequest(
    `the API version in the data () does not match the expected API version (${apiVersionOf(expected)})`,
  );
}

function checkCustomTypes(
  named: { apiVersion: string; kind: string },
  apiVersion: string,
): { apiVersion: string; kind: string } {
  if (named.apiVersion === apiVersion) return named;
  throw errors.badRequest(
    `the API version in the data (${named.apiVersion}) does not match the expected API version (${apiVersion})`,
  );
}
