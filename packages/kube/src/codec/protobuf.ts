/**
 * `application/vnd.kubernetes.protobuf`, for every built-in kind, both ways: the magic `k8s\0`, runtime.Unknown as
 * envelope with apiVersion and kind, the kind's message inside (apimachinery/pkg/runtime/serializer/protobuf).
 * Custom kinds have no such form, nor have `Table`s.
 */
import { finish, newWriter, readerOf } from '../protobuf/wire.ts';
import { type GroupVersionKind, parseApiVersion, schemaOf } from '../schema/schema.ts';
import { ProtobufError, isEnveloped, magic } from './protobuf-values.ts';
import { decodeMessage, encodeMessage, setEmbeddedReader } from './protobuf-struct.ts';

export { ProtobufError, isEnveloped } from './protobuf-values.ts';
export { decodeMessage, encodeMessage } from './protobuf-struct.ts';

export const protobufMediaType = 'application/vnd.kubernetes.protobuf';

interface TypeMeta {
  apiVersion: string;
  kind: string;
}

/** runtime.Unknown: what the envelope says, and the bytes inside. */
export interface Enveloped extends TypeMeta {
  raw: Uint8Array;
  contentEncoding: string;
  /** Empty: protobuf. `application/json` where JSON was put into the envelope. */
  contentType: string;
}

const typeMetaFields = { 1: 'apiVersion', 2: 'kind' } as const;
const unknownFields = { 3: 'contentEncoding', 4: 'contentType' } as const;

/** Opens the envelope; `raw` shares memory with `bytes`. Throws ProtobufError. */
export function openEnvelope(bytes: Uint8Array): Enveloped {
  if (!isEnveloped(bytes))
    throw new ProtobufError(
      `provided data does not appear to be a protobuf message, expected prefix ${[...magic].join(' ')}`,
    );
  const out: Enveloped = {
    apiVersion: '',
    kind: '',
    raw: new Uint8Array(),
    contentEncoding: '',
    contentType: '',
  };
  try {
    const reader = readerOf(bytes.subarray(magic.length));
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const number = tag >>> 3;
      if (number === 1) readTypeMeta(reader.bytes(), out);
      else if (number === 2) out.raw = reader.bytes();
      else if (number === 3 || number === 4) out[unknownFields[number]] = reader.string();
      else reader.skipType(tag & 7);
    }
  } catch (error) {
    throw new ProtobufError(`runtime.Unknown: ${error instanceof Error ? error.message : String(error)}`);
  }
  return out;
}

function readTypeMeta(bytes: Uint8Array, out: TypeMeta): void {
  const reader = readerOf(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    if (number === 1 || number === 2) out[typeMetaFields[number]] = reader.string();
    else reader.skipType(tag & 7);
  }
}

/** Puts a message into the envelope. */
export const envelope = (meta: TypeMeta, raw: Uint8Array): Buffer =>
  Buffer.concat([envelopeHead(meta, raw.length), raw, envelopeEnd]);

/** What stands before a message of `bytes` in its envelope. */
function envelopeHead({ apiVersion, kind }: TypeMeta, bytes: number): Buffer {
  const writer = newWriter();
  writer.uint32(10).fork();
  writer.uint32(10).string(apiVersion);
  writer.uint32(18).string(kind);
  writer.ldelim();
  writer.uint32(18).uint32(bytes);
  return Buffer.concat([magic, finish(writer)]);
}

/** Empty contentEncoding and contentType. */
const envelopeEnd = Buffer.of(26, 0, 34, 0);

/** Whether objects of the kind have a protobuf form. */
export function hasProtobuf(kind: GroupVersionKind): boolean {
  return kind.kind !== 'Table' && kind.kind !== 'TableOptions' && schemaOf(kind) !== undefined;
}

function structFor({ apiVersion, kind }: TypeMeta): ReturnType<typeof schemaOf> & object {
  const gvk = { ...parseApiVersion(apiVersion), kind };
  const struct = hasProtobuf(gvk) ? schemaOf(gvk) : undefined;
  if (!struct)
    throw new ProtobufError(
      `${kind} in ${apiVersion === '' ? 'no version' : apiVersion} has no protobuf form`,
    );
  return struct;
}

/**
 * An object in its envelope. It must carry `apiVersion` and `kind`; only the documents of `/api` have no apiVersion, in
 * their envelope neither. Throws ProtobufError.
 */
export function encodeProtobuf(object: object): Buffer {
  const { apiVersion = '', kind = '' } = object as Partial<TypeMeta>;
  const meta = { apiVersion, kind };
  return envelope(
    meta,
    encodeMessage(structFor(apiVersion === '' ? { apiVersion: 'v1', kind } : meta), object),
  );
}

const nothing = new Uint8Array(0);
/** An empty `metadata` of a list, which stands before its items. */
const emptyMetadata = Buffer.of(10, 0);

/**
 * A list in its envelope, as chunks: `list` carries `apiVersion`, `kind` and `metadata`, its items come in `slices`. The
 * envelope tells its length first, so that nothing can be sent before all is encoded; until then, each slice gives an
 * empty chunk, for others to take a turn. Throws ProtobufError.
 */
export function* encodeProtobufList(
  list: TypeMeta & { metadata: object },
  slices: Iterable<readonly unknown[]>,
): Generator<Uint8Array> {
  const struct = structFor(list);
  // Encodings of one message, one behind the other, are the encoding of all of it.
  const parts = [encodeMessage(struct, { metadata: list.metadata, items: [] })];
  let bytes = parts[0]?.length ?? 0;
  for (const items of slices) {
    const message = encodeMessage(struct, { items });
    const hasMetadata = message[0] === emptyMetadata[0] && message[1] === emptyMetadata[1];
    const part = hasMetadata ? message.subarray(emptyMetadata.length) : message;
    parts.push(part);
    bytes += part.length;
    yield nothing;
  }
  yield envelopeHead(list, bytes);
  yield* parts;
  yield envelopeEnd;
}

/**
 * The object in an envelope, `apiVersion` and `kind` included, in the form of schema/decode.ts. `defaults` stands in
 * for what the envelope leaves out. Throws ProtobufError.
 */
export function decodeProtobuf(bytes: Uint8Array, defaults?: TypeMeta): Record<string, unknown> {
  const opened = openEnvelope(bytes);
  if (opened.contentEncoding !== '' || !['', protobufMediaType].includes(opened.contentType))
    throw new ProtobufError(
      `the envelope holds ${opened.contentType || 'protobuf'} ${opened.contentEncoding}: only plain protobuf is read`,
    );
  const meta = {
    apiVersion: opened.apiVersion || (defaults?.apiVersion ?? ''),
    kind: opened.kind || (defaults?.kind ?? ''),
  };
  const object = decodeMessage(structFor(meta), opened.raw);
  return { apiVersion: meta.apiVersion, kind: meta.kind, ...object };
}

setEmbeddedReader((bytes) => decodeProtobuf(bytes));
