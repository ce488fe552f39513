/**
 * The OpenAPI v2 document as `openapi.v2.Document` of google/gnostic (openapiv2/OpenAPIv2.proto): what kubectl up to
 * 1.27 insists on. Covers what `schemas.ts` and `paths.ts` write.
 */
type Json = Record<string, unknown>;

const lengthDelimited = 2;
const varint = 0;

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) {
      bytes.push(left);
      return bytes;
    }
    bytes.push((left % 128) | 128);
  }
}

const tag = (number: number, type: number): Buffer => Buffer.from(varintBytes(number * 8 + type));

/** One field that holds bytes: a message or a text. */
const bytesField = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([tag(number, lengthDelimited), Buffer.from(varintBytes(bytes.length)), bytes]);

const text = (number: number, value: unknown): Buffer =>
  typeof value === 'string' && value !== '' ? bytesField(number, Buffer.from(value)) : Buffer.alloc(0);
const texts = (number: number, values: unknown): Buffer =>
  Buffer.concat(
    ((values as string[] | undefined) ?? []).map((value) => bytesField(number, Buffer.from(value))),
  );
const flag = (number: number, value: unknown): Buffer =>
  value === true ? Buffer.concat([tag(number, varint), Buffer.of(1)]) : Buffer.alloc(0);
const message = (number: number, ...parts: Buffer[]): Buffer => bytesField(number, Buffer.concat(parts));
const messages = (number: number, values: unknown, encode: (value: Json) => Buffer): Buffer =>
  Buffer.concat(((values as Json[] | undefined) ?? []).map((value) => bytesField(number, encode(value))));

/** `Any`: JSON is YAML. */
const anyOf = (value: unknown): Buffer => text(2, JSON.stringify(value));

/** `repeated NamedAny vendor_extension`, of every `x-…` member. */
function extensions(number: number, object: Json): Buffer {
  const found = Object.entries(object).filter(([name]) => name.startsWith('x-'));
  return Buffer.concat(
    found.map(([name, value]) => message(number, text(1, name), message(2, anyOf(value)))),
  );
}

/** A map as ordered pairs of name and message. */
const named = (number: number, map: unknown, encode: (value: Json) => Buffer): Buffer =>
  Buffer.concat(
    Object.entries((map as Record<string, Json> | undefined) ?? {}).map(([name, value]) =>
      message(number, text(1, name), bytesField(2, encode(value))),
    ),
  );

function schema(value: Json): Buffer {
  const parts = [text(1, value['$ref']), text(2, value['format']), text(4, value['description'])];
  if (value['default'] !== undefined) parts.push(message(5, anyOf(value['default'])));
  parts.push(texts(19, value['required']));
  for (const each of (value['enum'] as unknown[] | undefined) ?? []) parts.push(message(20, anyOf(each)));
  if (value['additionalProperties']) {
    parts.push(message(21, bytesField(1, schema(value['additionalProperties'] as Json))));
  }
  if (value['type'] !== undefined) parts.push(message(22, texts(1, [value['type'] as string])));
  if (value['items']) parts.push(message(23, bytesField(1, schema(value['items'] as Json))));
  if (value['properties']) parts.push(message(25, named(1, value['properties'], schema)));
  parts.push(extensions(31, value));
  return Buffer.concat(parts);
}

/** `ParametersItem`: of the body, the query or the path. */
function parameter(value: Json): Buffer {
  const common = [text(3, value['description']), text(4, value['name'])];
  let inner: Buffer;
  if (value['in'] === 'body') {
    inner = message(
      1,
      text(1, value['description']),
      text(2, value['name']),
      text(3, 'body'),
      flag(4, value['required']),
      bytesField(5, schema(value['schema'] as Json)),
    );
  } else {
    const where = [flag(1, value['required']), text(2, value['in']), ...common];
    const inQuery = value['in'] === 'query';
    const typed = inQuery
      ? [text(6, value['type']), flag(20, value['uniqueItems'])]
      : [text(5, value['type']), flag(19, value['uniqueItems'])];
    inner = message(2, message(inQuery ? 3 : 4, ...where, ...typed));
  }
  return bytesField(1, inner);
}

const response = (value: Json): Buffer =>
  message(
    1,
    text(1, value['description']),
    value['schema'] ? message(2, bytesField(1, schema(value['schema'] as Json))) : Buffer.alloc(0),
  );

function operation(value: Json): Buffer {
  return Buffer.concat([
    texts(1, value['tags']),
    text(3, value['description']),
    text(5, value['operationId']),
    texts(6, value['produces']),
    texts(7, value['consumes']),
    messages(8, value['parameters'], parameter),
    message(9, named(1, value['responses'], response)),
    extensions(13, value),
  ]);
}

const methods = { get: 2, put: 3, post: 4, delete: 5, patch: 8 } as const;

function pathItem(value: Json): Buffer {
  const parts: Buffer[] = [];
  for (const [method, number] of Object.entries(methods)) {
    if (value[method]) parts.push(bytesField(number, operation(value[method] as Json)));
  }
  parts.push(messages(9, value['parameters'], parameter));
  return Buffer.concat(parts);
}

/** The document as bytes. */
export function encodeDocument(document: Json): Buffer {
  const info = document['info'] as Json;
  return Buffer.concat([
    text(1, document['swagger']),
    message(2, text(1, info['title']), text(2, info['version'])),
    message(8, named(2, document['paths'], pathItem)),
    message(9, named(1, document['definitions'], schema)),
  ]);
}
