/** A path item as Swagger 2.0 writes it (kube-openapi, pkg/builder). */
import { metaDefinition } from './definitions.ts';
import { answerNames, type Body, type Operation, type Parameter, type PathItem } from './operation.ts';
import { refPrefix, type Schema, toV2 } from './schema.ts';
import { sharedParameters } from './shared-parameters.ts';

type Json = Record<string, unknown>;

/** kubectl up to 1.27 looks for these in the operation itself. */
const neverShared: ReadonlySet<string> = new Set(['name', 'fieldValidation', 'dryRun']);
const sharedBodies: ReadonlySet<string> = new Set(
  ['Patch', 'DeleteOptions'].map((name) => refPrefix.v2 + metaDefinition(name)),
);

/** FNV-1 of 64 bits, its first six bytes in URL-safe base64: how upstream makes names of shared parameters. */
function hashOf(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) {
    hash = BigInt.asUintN(64, hash * 0x100000001b3n) ^ BigInt(byte);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(hash);
  return bytes.subarray(0, 6).toString('base64url');
}

/** Writes path items and collects the parameters that they refer to. */
export class V2Writer {
  /** By name; the document's `parameters`. */
  readonly parameters = new Map<string, Json>();
  readonly #references = new Map<string, Json>();

  write({ operations }: PathItem): Json {
    const shared = sharedParameters([...operations.values()]);
    const item: Json = {};
    for (const [method, operation] of operations) item[method] = this.#operation(operation, shared);
    if (shared.length > 0) item['parameters'] = shared.map((each) => this.#parameter(each));
    return item;
  }

  #operation(operation: Operation, shared: readonly Parameter[]): Json {
    const { id, tags, consumes, produces, parameters, body, codes, answer, action, kind } = operation;
    const own = parameters
      .filter((each) => !shared.includes(each))
      .map((each): [string, Json] => [each.name, this.#parameter(each)]);
    if (body) own.push(['body', this.#body(body)]);
    own.sort(([a], [b]) => (a < b ? -1 : 1));
    const responses: Json = {};
    for (const code of codes) responses[code] = { description: answerNames[code], schema: toV2(answer) };
    responses[401] = { description: 'Unauthorized' };
    return {
      ...(consumes.length > 0 ? { consumes } : {}),
      produces,
      schemes: ['https'],
      tags,
      operationId: id,
      ...(own.length > 0 ? { parameters: own.map(([, parameter]) => parameter) } : {}),
      responses,
      ...(action === undefined ? {} : { 'x-kubernetes-action': action }),
      ...(kind ? { 'x-kubernetes-group-version-kind': kind } : {}),
    };
  }

  #parameter({ name, in: where, type }: Parameter): Json {
    const written = {
      uniqueItems: true,
      type,
      name,
      in: where,
      ...(where === 'path' ? { required: true } : {}),
    };
    return neverShared.has(name) ? written : this.#shared(written);
  }

  #body({ schema, required }: Body): Json {
    const written: { name: string; in: string; required?: boolean; schema: Schema } = {
      name: 'body',
      in: 'body',
      ...(required ? { required } : {}),
      schema: toV2(schema),
    };
    return sharedBodies.has(written.schema['$ref'] as string) ? this.#shared(written) : written;
  }

  #shared(written: { name: string } & Json): Json {
    const text = JSON.stringify(written);
    let reference = this.#references.get(text);
    if (!reference) {
      const name = `${written.name}-${hashOf(text)}`;
      this.parameters.set(name, written);
      this.#references.set(text, (reference = { $ref: `#/parameters/${name}` }));
    }
    return reference;
  }
}
