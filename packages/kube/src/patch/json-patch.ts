/**
 * JSON patch (RFC 6902) with the words and the liberties of the library that kube-apiserver uses
 * (gopkg.in/evanphx/json-patch.v4): negative indexes count from the end, `replace` of a missing member adds it, and a
 * missing `value` is null.
 */
import { stringifyJson } from '../codec/json.ts';
import { isJsonObject, type JsonObject } from '../codec/json-value.ts';
import { clone, equal, own, put } from './value.ts';

/** A patch that does not apply. Nothing of it was applied. */
export class JsonPatchError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonPatchError';
  }
}

/** A `test` operation found another value. */
export class JsonPatchTestError extends JsonPatchError {
  constructor(path: string) {
    super(`testing value ${path} failed: test failed`);
    this.name = 'JsonPatchTestError';
  }
}

/** All `copy` operations of a patch together may add so many bytes (apiserver: JSONPatchMaxCopyBytes). */
export const maxCopyBytes: number = 3 * 1024 * 1024;
/** apiserver/pkg/endpoints/handlers/patch.go */
export const maxOperations = 10_000;

interface Place {
  container: unknown[] | JsonObject;
  key: string;
}

const decodeKey = (token: string): string => token.replaceAll('~1', '/').replaceAll('~0', '~');

function wrongIndex(index: number): JsonPatchError {
  return new JsonPatchError(`Unable to access invalid index: ${index}: invalid index referenced`);
}

function parseIndex(key: string): number {
  if (!/^[+-]?\d+$/.test(key))
    throw new JsonPatchError(`strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`);
  return Number(key);
}

/** An index into a list of `length`, negative ones from the end; at most `last`. */
function indexIn(key: string, length: number, last: number): number {
  const index = parseIndex(key);
  if (index > last || index < -length) throw wrongIndex(index);
  return index < 0 ? index + length : index;
}

function getFrom({ container, key }: Place): unknown {
  if (Array.isArray(container)) return container[indexIn(key, container.length, container.length - 1)];
  return own(container, key);
}

function addTo({ container, key }: Place, value: unknown): void {
  if (!Array.isArray(container)) return put(container, key, value);
  if (key === '-') {
    container.push(value);
    return;
  }
  if (!/^[+-]?\d+$/.test(key))
    throw new JsonPatchError(
      `value was not a proper array index: '${key}': strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`,
    );
  container.splice(indexIn(key, container.length + 1, container.length), 0, value);
}

function removeFrom({ container, key }: Place): void {
  if (Array.isArray(container)) {
    container.splice(indexIn(key, container.length, container.length - 1), 1);
    return;
  }
  if (!Object.hasOwn(container, key))
    throw new JsonPatchError(`Unable to remove nonexistent key: ${key}: missing value`);
  delete container[key];
}

/** One application: `document` is a private copy. */
class Application {
  document: unknown;
  #copiedBytes = 0;

  constructor(document: unknown) {
    this.document = document;
  }

  apply(operation: JsonObject): void {
    const kind = typeof own(operation, 'op') === 'string' ? (operation['op'] as string) : 'unknown';
    switch (kind) {
      case 'add':
        return this.#add(operation);
      case 'remove':
        return this.#remove(operation);
      case 'replace':
        return this.#replace(operation);
      case 'move':
        return this.#move(operation);
      case 'test':
        return this.#test(operation);
      case 'copy':
        return this.#copy(operation);
      default:
        throw new JsonPatchError(`Unexpected kind: ${kind}`);
    }
  }

  /** The container of a path's last token; undefined when the way there is missing. */
  #find(path: string): Place | undefined {
    const tokens = path.split('/');
    if (tokens.length < 2) return undefined;
    let container = this.document;
    for (const token of tokens.slice(1, -1)) {
      let next: unknown;
      try {
        next = getFrom({ container: container as unknown[] | JsonObject, key: decodeKey(token) });
      } catch {
        return undefined;
      }
      if (!Array.isArray(next) && !isJsonObject(next)) return undefined;
      container = next;
    }
    return { container: container as unknown[] | JsonObject, key: decodeKey(tokens.at(-1) as string) };
  }

  #add(operation: JsonObject): void {
    const path = pathOf(operation, 'add', 'path');
    const place = this.#find(path);
    if (!place)
      throw new JsonPatchError(`add operation does not apply: doc is missing path: "${path}": missing value`);
    within(`error in add for path: '${path}'`, () => addTo(place, valueOf(operation)));
  }

  #remove(operation: JsonObject): void {
    const path = pathOf(operation, 'remove', 'path');
    const place = this.#find(path);
    if (!place)
      throw new JsonPatchError(
        `remove operation does not apply: doc is missing path: "${path}": missing value`,
      );
    within(`error in remove for path: '${path}'`, () => removeFrom(place));
  }

  #replace(operation: JsonObject): void {
    const path = pathOf(operation, 'replace', 'path');
    const value = valueOf(operation);
    if (path === '') {
      if (!Array.isArray(value) && !isJsonObject(value))
        throw new JsonPatchError('replace operation value must be object or array');
      this.document = value;
      return;
    }
    const place = this.#find(path);
    if (!place)
      throw new JsonPatchError(
        `replace operation does not apply: doc is missing path: ${path}: missing value`,
      );
    if (!Array.isArray(place.container)) return put(place.container, place.key, value);
    try {
      place.container[indexIn(place.key, place.container.length, place.container.length - 1)] = value;
    } catch {
      throw new JsonPatchError(
        `replace operation does not apply: doc is missing key: ${path}: missing value`,
      );
    }
  }

  #move(operation: JsonObject): void {
    const from = pathOf(operation, 'move', 'from');
    const source = this.#find(from);
    if (!source)
      throw new JsonPatchError(
        `move operation does not apply: doc is missing from path: ${from}: missing value`,
      );
    const value = within(`error in move for path: '${source.key}'`, () => {
      const found = getFrom(source);
      removeFrom(source);
      return found;
    });
    const path = pathOf(operation, 'move', 'path');
    const target = this.#find(path);
    if (!target)
      throw new JsonPatchError(
        `move operation does not apply: doc is missing destination path: ${path}: missing value`,
      );
    within(`error in move for path: '${path}'`, () => addTo(target, value));
  }

  #test(operation: JsonObject): void {
    const path = pathOf(operation, 'test', 'path');
    const place = path === '' ? undefined : this.#find(path);
    if (path !== '' && !place)
      throw new JsonPatchError(`test operation does not apply: is missing path: ${path}: missing value`);
    const found = place ? within(`error in test for path: '${path}'`, () => getFrom(place)) : this.document;
    if (!equal(found ?? null, own(operation, 'value') ?? null)) throw new JsonPatchTestError(path);
  }

  #copy(operation: JsonObject): void {
    const from = pathOf(operation, 'copy', 'from');
    const source = this.#find(from);
    if (!source)
      throw new JsonPatchError(
        `copy operation does not apply: doc is missing from path: ${from}: missing value`,
      );
    const value = within(`error in copy for from: '${from}'`, () => getFrom(source)) ?? null;
    const path = pathOf(operation, 'copy', 'path');
    const target = this.#find(path);
    if (!target)
      throw new JsonPatchError(
        `copy operation does not apply: doc is missing destination path: ${path}: missing value`,
      );
    this.#copiedBytes += Buffer.byteLength(stringifyJson(value));
    if (this.#copiedBytes > maxCopyBytes)
      throw new JsonPatchError(
        `Unable to complete the copy, the accumulated size increase of copy is ${this.#copiedBytes}, exceeding the limit ${maxCopyBytes}`,
      );
    within('error while adding value during copy', () => addTo(target, clone(value)));
  }
}

const valueOf = (operation: JsonObject): unknown => clone(own(operation, 'value') ?? null);

/** Upstream says twice what is missing for some operations. */
const terse = new Set(['add path', 'remove path', 'copy path']);

function pathOf(operation: JsonObject, kind: string, member: 'path' | 'from'): string {
  const path = own(operation, member);
  if (typeof path === 'string') return path;
  const missing = member === 'path' ? 'operation missing path field: ' : 'operation, missing from field: ';
  const why = terse.has(`${kind} ${member}`) ? '' : missing;
  throw new JsonPatchError(`${kind} operation failed to decode ${member}: ${why}missing value`);
}

function within<T>(context: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof JsonPatchError) throw new JsonPatchError(`${context}: ${error.message}`);
    throw error;
  }
}

/**
 * Applies all operations or none; the document is not changed, and shares nothing with the result. Throws
 * JsonPatchError in upstream's words.
 */
export function applyJsonPatch(document: unknown, operations: readonly JsonObject[]): unknown {
  const application = new Application(clone(document));
  try {
    for (const operation of operations) application.apply(operation);
  } catch (error) {
    // Copies of a document into itself nest twice as deep each time.
    if (error instanceof RangeError) throw new JsonPatchError('exceeded max depth');
    throw error;
  }
  return application.document;
}
