import { duplicateFields, JsonSyntaxError, parseJson } from '@cloudless/kube/codec/json';
import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import { cloneJson } from '../storage/codec.ts';
import type { Body, BodyDecoder, BodyKind, FieldValidation } from './body.ts';

/** What the decoder needs of the schema and of codecs that load on first use. */
export interface DecoderParts {
  /** Parses YAML; `onDuplicate` gets upstream's text of each repeated key. */
  parseYaml(text: string, onDuplicate: (text: string) => void): unknown;
  /** An object from `k8s\0` bytes, unknown and mistyped fields impossible. */
  readProtobuf(bytes: Uint8Array): KubeObject;
  /**
   * Drops nulls and unknown fields in place and returns the paths of the unknown ones. Throws an Error in Go's words
   * for a value of the wrong type.
   */
  normalize(object: Record<string, unknown>, kind: BodyKind): string[];
}

const bodyMediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const apiVersionOf = (kind: BodyKind): string => (kind.group === '' ? kind.version : `${kind.group}/${kind.version}`);

/** `Pod in version "v1" cannot be handled as a Pod: …` (handlers/rest.go, transformDecodeError). */
function cannotBeHandled(kind: BodyKind, given: { apiVersion?: unknown; kind?: unknown }, why: string): StatusError {
  const name = typeof given.kind === 'string' && given.kind !== '' ? given.kind : kind.kind;
  const apiVersion = typeof given.apiVersion === 'string' && given.apiVersion !== '' ? given.apiVersion : apiVersionOf(kind);
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return errors.badRequest(`${name} in version ${JSON.stringify(version)} cannot be handled as a ${kind.kind}: ${why}`);
}

/** Kinds that every group version accepts under its own name, such as DeleteOptions. */
const isMetaKind = (kind: BodyKind): boolean => kind.group === 'meta.k8s.io';

function isYamlText(bytes: Uint8Array): boolean {
  // Upstream sniffs: JSON begins with a brace.
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

  decode(body: Body, expected: BodyKind, validation: FieldValidation, warn: (text: string) => void): KubeObject {
    // A client in this process has typed objects; they need no judging, and nothing unset in them.
    if (body.type === 'object') {
      const object = cloneJson(body.object) as KubeObject;
      this.#checkTypes(object, expected);
      return object;
    }
    const problems: string[] = [];
    const value = this.#parse(body, validation === 'Ignore' ? undefined : problems);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const shown = JSON.stringify(value)?.slice(0, 80);
      throw errors.badRequest(`couldn't get version/kind; json parse error: expected an object, got ${shown}`);
    }
    return this.#judge(value as KubeObject, expected, validation, problems, warn);
  }

  decodePatched(object: unknown, expected: BodyKind, validation: FieldValidation, warn: (text: string) => void): KubeObject {
    if (typeof object !== 'object' || object === null || Array.isArray(object)) {
      throw errors.badRequest('the patch leaves no object');
    }
    return this.#judge(object as KubeObject, expected, validation, [], warn);
  }

  parsePatch(body: Body): unknown {
    if (body.type === 'object') return body.object;
    try {
      return parseJson(body.bytes);
    } catch (cause) {
      throw errors.badRequest(`error decoding patch: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }

  /** The value of a body; duplicate keys go to `problems`. */
  #parse(body: Body & { type: 'bytes' }, problems: string[] | undefined): unknown {
    switch (body.mediaType) {
      case 'application/vnd.kubernetes.protobuf':
        return this.#parts.readProtobuf(body.bytes);
      case 'application/yaml':
        return this.#yaml(body.bytes, problems);
      case '':
      case 'application/json':
      case 'text/json':
        if (isYamlText(body.bytes)) return this.#yaml(body.bytes, problems);
        return this.#json(body.bytes, problems);
      default:
        throw errors.unsupportedMediaType(
          `the body of the request was in an unknown format - accepted media types include: ${bodyMediaTypes.join(', ')}`,
        );
    }
  }

  #json(bytes: Uint8Array, problems: string[] | undefined): unknown {
    try {
      const value = parseJson(bytes);
      if (problems) problems.push(...duplicateFields(bytes).map((path) => `duplicate field ${JSON.stringify(path)}`));
      return value;
    } catch (cause) {
      if (cause instanceof JsonSyntaxError) {
        throw errors.badRequest(`couldn't get version/kind; json parse error: ${cause.message}`);
      }
      throw cause;
    }
  }

  #yaml(bytes: Uint8Array, problems: string[] | undefined): unknown {
    try {
      return this.#parts.parseYaml(Buffer.from(bytes).toString('utf8'), (text) => problems?.push(text));
    } catch (cause) {
      throw errors.badRequest(`error converting YAML to JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }

  #judge(
    object: KubeObject,
    expected: BodyKind,
    validation: FieldValidation,
    problems: string[],
    warn: (text: string) => void,
  ): KubeObject {
    this.#checkTypes(object, expected);
    let unknown: string[];
    try {
      unknown = this.#parts.normalize(object as unknown as Record<string, unknown>, expected);
    } catch (cause) {
      throw cannotBeHandled(expected, object, cause instanceof Error ? cause.message : String(cause));
    }
    object.metadata ??= {};
    if (validation === 'Ignore') return object;
    problems.push(...unknown.map((path) => `unknown field ${JSON.stringify(path)}`));
    if (problems.length === 0) return object;
    if (validation === 'Strict') {
      throw cannotBeHandled(expected, object, `strict decoding error: ${problems.join(', ')}`);
    }
    for (const text of problems) warn(text);
    return object;
  }

  /** Fills in absent apiVersion and kind, refuses others than expected. */
  #checkTypes(object: KubeObject, expected: BodyKind): void {
    const apiVersion = apiVersionOf(expected);
    if (object.kind === undefined || object.kind === '') object.kind = expected.kind;
    if (object.apiVersion === undefined || object.apiVersion === '') object.apiVersion = apiVersion;
    if (isMetaKind(expected) && object.kind === expected.kind) return;
    if (object.kind !== expected.kind) {
      const why = `no kind ${JSON.stringify(object.kind)} is expected here, but ${JSON.stringify(expected.kind)} of ${JSON.stringify(apiVersion)}`;
      throw cannotBeHandled(expected, object, why);
    }
    if (object.apiVersion !== apiVersion) {
      throw errors.badRequest(
        `the API version in the data (${object.apiVersion}) does not match the expected API version (${apiVersion})`,
      );
    }
  }
}
