/** Puts a document together, entry by entry, in slices of time: a whole one is megabytes. */
import { newWriter } from '@cloudless/kube/protobuf/wire';
import type { PathItem } from './operation.ts';
import { encode, type FieldWriter } from './protobuf/message.ts';
import type { OpenApiVersion, Schema } from './schema.ts';
import { refPrefix } from './schema.ts';
import type { Slices } from './slices.ts';
import { V2Writer } from './write-v2.ts';
import { writeV3 } from './write-v3.ts';

type Json = Record<string, unknown>;
export type Encoding = 'json' | 'protobuf';

/** What a document is made of. */
export interface DocumentSource {
  readonly title: { readonly title: string; readonly version: string };
  paths(): Iterable<PathItem>;
  /** A definition that something refers to, in the document's dialect. */
  definition(name: string): Schema;
}

const bearerToken = {
  BearerToken: {
    description: 'Bearer Token authentication',
    type: 'apiKey',
    name: 'authorization',
    in: 'header',
  },
};

/** Sections of a document with their entries written. */
interface Sections {
  paths: Map<string, Json>;
  schemas: Map<string, Schema>;
  parameters: ReadonlyMap<string, Json>;
}

/** The document as bytes. Lets the event loop turn every few milliseconds. */
export async function makeDocument(
  source: DocumentSource,
  dialect: OpenApiVersion,
  encoding: Encoding,
  slices: Slices,
): Promise<Buffer> {
  const sections = await collect(source, dialect, slices);
  if (encoding === 'json') return await asJson(source, dialect, sections, slices);
  return await asProtobuf(source, dialect, sections, slices);
}

async function collect(source: DocumentSource, dialect: OpenApiVersion, slices: Slices): Promise<Sections> {
  const v2 = new V2Writer();
  const paths = new Map<string, Json>();
  const wanted = new Set<string>();
  for (const item of source.paths()) {
    for (const { answer, body } of item.operations.values()) {
      references(answer, wanted);
      if (body) references(body.schema, wanted);
    }
    paths.set(item.path, dialect === 'v2' ? v2.write(item) : writeV3(item));
    await slices.breathe();
  }
  const schemas = new Map<string, Schema>();
  // A set visits what is added on the way.
  for (const name of wanted) {
    const schema = source.definition(name);
    schemas.set(name, schema);
    references(schema, wanted);
    await slices.breathe();
  }
  return { paths: sorted(paths), schemas: sorted(schemas), parameters: sorted(v2.parameters) };
}

function sorted<T>(entries: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Adds the names of all definitions that a schema of either dialect refers to. */
function references(schema: unknown, found: Set<string>): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const name in schema) {
    const member = (schema as Json)[name];
    if (name !== '$ref' || typeof member !== 'string') references(member, found);
    else {
      const prefix = Object.values(refPrefix).find((each) => member.startsWith(each));
      if (prefix !== undefined) found.add(member.slice(prefix.length));
    }
  }
}

const quote = JSON.stringify;

async function asJson(
  { title }: DocumentSource,
  dialect: OpenApiVersion,
  { paths, schemas, parameters }: Sections,
  slices: Slices,
): Promise<Buffer> {
  const parts: string[] = [];
  const object = async (entries: ReadonlyMap<string, unknown>): Promise<void> => {
    let separator = '{';
    for (const [name, value] of entries) {
      parts.push(separator, quote(name), ':', quote(value));
      separator = ',';
      await slices.breathe();
    }
    parts.push(separator === '{' ? '{}' : '}');
  };
  parts.push(
    dialect === 'v2' ? '{"swagger":"2.0"' : '{"openapi":"3.0.0"',
    `,"info":${quote(title)},"paths":`,
  );
  await object(paths);
  if (dialect === 'v2') {
    parts.push(',"definitions":');
    await object(schemas);
    parts.push(',"parameters":');
    await object(parameters);
    parts.push(`,"securityDefinitions":${quote(bearerToken)},"security":[{"BearerToken":[]}]}`);
  } else {
    parts.push(',"components":{');
    if (schemas.size > 0) {
      parts.push('"schemas":');
      await object(schemas);
      parts.push(',');
    }
    parts.push(`"securitySchemes":${quote(bearerToken)}}}`);
  }
  return Buffer.from(parts.join(''));
}

/** A length-delimited field that holds these bytes. */
function wrapped(field: number, chunks: readonly Uint8Array[]): Uint8Array[] {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return [
    newWriter()
      .uint32((field << 3) | 2)
      .uint32(length)
      .finish(),
    ...chunks,
  ];
}

async function asProtobuf(
  { title }: DocumentSource,
  dialect: OpenApiVersion,
  { paths, schemas, parameters }: Sections,
  slices: Slices,
): Promise<Buffer> {
  const { v2Message } = await import('./protobuf/v2.ts');
  const { v3Message } = await import('./protobuf/v3.ts');
  const entriesOf = async (
    number: number,
    entries: ReadonlyMap<string, unknown>,
    write: FieldWriter,
  ): Promise<Uint8Array[]> => {
    const chunks: Uint8Array[] = [];
    for (const [name, value] of entries) {
      const entry = encode((writer) => {
        writer.uint32(10).string(name);
        write(writer, 2, value);
      });
      chunks.push(...wrapped(number, [entry]));
      await slices.breathe();
    }
    return chunks;
  };
  const message = dialect === 'v2' ? v2Message : v3Message;
  const version = dialect === 'v2' ? { swagger: '2.0' } : { openapi: '3.0.0' };
  const head = encode((writer) => message.head(writer, { ...version, info: title }));
  const pathChunks = wrapped(
    message.paths.field,
    await entriesOf(message.paths.entries, paths, message.pathItem),
  );
  const schemaChunks = await entriesOf(message.schemas.entries, schemas, message.schema);
  const inField = wrapped(message.schemas.field, schemaChunks);
  if (dialect === 'v2') {
    const tail = encode((writer) =>
      v2Message.tail(writer, {
        parameters: Object.fromEntries(parameters),
        security: [{ BearerToken: [] }],
        securityDefinitions: bearerToken,
      }),
    );
    return Buffer.concat([head, ...pathChunks, ...inField, tail]);
  }
  const { field, write } = v3Message.securitySchemes;
  const security = encode((writer) => write(writer, field, bearerToken));
  const components = [...(schemas.size > 0 ? inField : []), security];
  return Buffer.concat([head, ...pathChunks, ...wrapped(v3Message.components, components)]);
}
