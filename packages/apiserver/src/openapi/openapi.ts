/**
 * OpenAPI of what is served: version 3 as an index with a document per group version, version 2 as one document, both as
 * JSON and protobuf. A document is made when it is asked for and kept compressed until what it tells of changes; the
 * index costs nothing, because hashes are taken of what documents are made from.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Catalogue, Served } from '../registry/catalogue.ts';
import type { PathResponse } from '../server/options.ts';
import { customPathsOf } from './custom-paths.ts';
import { customDefinitionName, customListSchema, customSchema } from './custom-schema.ts';
import { Definitions } from './definitions.ts';
import { type Descriptions, installedDescriptions } from './descriptions.ts';
import { type DocumentSource, type Encoding, makeDocument } from './document.ts';
import { contentTypeOf, negotiateEncoding } from './negotiate.ts';
import type { PathItem } from './operation.ts';
import { pathsOf } from './paths.ts';
import { groupPath, groupVersionPath, plainDocuments } from './plain-paths.ts';
import { type OpenApiVersion, type Schema, toV2 } from './schema.ts';
import { Slices } from './slices.ts';

const compress = promisify(gzip);

/** Compressed documents are a tenth of the size; level 6 costs a thread of the pool some 20 ms for the largest. */
const gzipLevel = 6;
const secondsPerYear = 365 * 24 * 3600;

/** A document that can be asked for. `content` says what it is about; bytes are made once per encoding. */
interface Document {
  readonly hash: string;
  readonly source: DocumentSource;
  readonly dialect: OpenApiVersion;
  readonly made: Map<Encoding, Promise<Buffer>>;
}

export interface OpenApiOptions {
  readonly catalogue: Catalogue;
  /** `v1.36.0+cloudless0.1.0` */
  readonly gitVersion: string;
  /** Paths the server answers besides resources, as registered. */
  readonly paths?: readonly string[];
  /** Where descriptions of built-in kinds come from. Default: the installed npm package, if there is one. */
  readonly descriptions?: Descriptions;
}

export class OpenApi {
  readonly #catalogue: Catalogue;
  readonly #title: DocumentSource['title'];
  /** Whatever else changes documents: two servers of one version give the same hashes. */
  readonly #basis: string;
  readonly #plain: ReadonlyMap<string, PathItem>;
  readonly #definitions: Definitions;
  #generation = -1;
  /** Version 3 by its name in the index. */
  #documents = new Map<string, Document>();
  #whole: Document | undefined;

  constructor({ catalogue, gitVersion, paths = [], descriptions = installedDescriptions() }: OpenApiOptions) {
    this.#catalogue = catalogue;
    const [, version = gitVersion] = /^v(\d+\.\d+)/.exec(gitVersion) ?? [];
    this.#title = { title: 'Kubernetes', version };
    this.#plain = plainDocuments(paths);
    this.#basis = JSON.stringify([gitVersion, descriptions.source, [...this.#plain.keys()]]);
    this.#definitions = new Definitions(descriptions);
  }

  /**
   * Answers `/openapi/v2`, `/openapi/v3` and `/openapi/v3/…`; undefined for a path it does not know. Bodies that are
   * compressed say so in `encoding`.
   */
  async respond(path: string, query: URLSearchParams, accept: string): Promise<PathResponse | undefined> {
    this.#refresh();
    if (path === '/openapi/v2') return await this.#answer(this.#whole as Document, accept);
    if (path === '/openapi/v3') return this.#index();
    const name = path.replace(/^\/openapi\/v3\//, '');
    const document = this.#documents.get(name);
    if (!document) return undefined;
    const asked = query.get('hash');
    if (asked !== null && asked !== '' && asked !== document.hash) {
      const headers = { etag: `"${document.hash}"`, vary: 'Accept', location: urlOf(name, document.hash) };
      return { status: 301, contentType: 'application/json', headers, body: '' };
    }
    const answer = await this.#answer(document, accept);
    if (asked !== document.hash) return answer;
    // Whoever asks by hash may keep the answer for good.
    const expires = new Date(Date.now() + secondsPerYear * 1000).toUTCString();
    const forever = { 'cache-control': 'public, immutable', expires };
    return { ...answer, headers: { ...answer.headers, ...forever } };
  }

  async #answer(document: Document, accept: string): Promise<PathResponse> {
    const { hash, dialect } = document;
    const encoding = negotiateEncoding(accept, dialect);
    if (!encoding) return { status: 406, contentType: 'text/plain', headers: { vary: 'Accept' }, body: '' };
    return {
      contentType: contentTypeOf(dialect, encoding),
      headers: { etag: `"${hash}"`, vary: 'Accept' },
      encoding: 'gzip',
      body: await bytesOf(document, encoding),
    };
  }

  #index(): PathResponse {
    const paths: Record<string, { serverRelativeURL: string }> = {};
    for (const name of [...this.#documents.keys()].sort()) {
      const { hash } = this.#documents.get(name) as Document;
      paths[name] = { serverRelativeURL: urlOf(name, hash) };
    }
    const body = JSON.stringify({ paths });
    return { contentType: 'application/json', headers: { etag: `"${hashOf(body)}"` }, body };
  }

  /** Follows the catalogue: documents whose content is another now are new ones, others stay. */
  #refresh(): void {
    if (this.#generation === this.#catalogue.generation) return;
    this.#generation = this.#catalogue.generation;
    const documents = new Map<string, Document>();
    const add = (name: string, content: string, source: DocumentSource): void => {
      const hash = hashOf(JSON.stringify([this.#basis, name, content]));
      const before = this.#documents.get(name);
      const kept = before?.hash === hash;
      documents.set(name, kept ? before : { hash, source, dialect: 'v3', made: new Map() });
    };
    const groups = new Set<string>();
    for (const [groupVersion, served] of this.#catalogue.groupVersions) {
      const { resource, custom } = served[0] as Served;
      const { group } = resource;
      add(
        group === '' ? `api/${groupVersion}` : `apis/${groupVersion}`,
        contentOf(served),
        this.#sourceOf(served),
      );
      if (group !== '' && !custom) groups.add(group);
    }
    for (const group of groups) add(`apis/${group}`, '', this.#single(groupPath(group)));
    for (const [name, item] of this.#plain) add(name, '', this.#single(item));
    this.#documents = documents;
    const hash = hashOf([...documents.values()].map((each) => each.hash).join());
    if (this.#whole?.hash !== hash)
      this.#whole = { hash, source: this.#everything(groups), dialect: 'v2', made: new Map() };
  }

  #single(item: PathItem): DocumentSource {
    const definition = (name: string): Schema => this.#definitions.get(name, { group: '', version: '' });
    return { title: this.#title, paths: () => [item], definition };
  }

  #sourceOf(served: readonly Served[]): DocumentSource {
    const { resource } = served[0] as Served;
    const custom = customDefinitions(served, 'v3', this.#definitions);
    return {
      title: this.#title,
      paths: () => allPaths(served),
      definition: (name) => custom(name) ?? this.#definitions.get(name, resource),
    };
  }

  #everything(groups: ReadonlySet<string>): DocumentSource {
    const { groupVersions } = this.#catalogue;
    const plain = this.#plain;
    const all = [...groupVersions.values()];
    const custom = customDefinitions(all.flat(), 'v2', this.#definitions);
    return {
      title: this.#title,
      *paths() {
        for (const served of all) yield* allPaths(served);
        for (const group of groups) yield groupPath(group);
        yield* plain.values();
      },
      definition: (name) => custom(name) ?? toV2(this.#definitions.get(name)),
    };
  }
}

const hashOf = (text: string): string => createHash('sha512').update(text).digest('hex').toUpperCase();
const urlOf = (name: string, hash: string): string => `/openapi/v3/${name}?hash=${hash}`;

/** What a document is made from, short: a definition of a custom kind is named by its uid and generation. */
function contentOf(served: readonly Served[]): string {
  return JSON.stringify(
    served.map(({ resource, verbs, subresources, custom }) => [
      resource.plural,
      resource.kind,
      resource.namespaced,
      verbs,
      [...subresources.values()].map((each) => [each.name, each.verbs]),
      custom && [custom.definition.metadata?.uid, custom.definition.metadata?.generation],
    ]),
  );
}

function* allPaths(served: readonly Served[]): Generator<PathItem> {
  const { resource, custom } = served[0] as Served;
  if (!custom) yield groupVersionPath(resource.group, resource.version);
  for (const each of served) yield* each.custom ? customPathsOf(each) : pathsOf(each);
}

/** Definitions of custom kinds and their lists by name. */
function customDefinitions(
  served: readonly Served[],
  dialect: OpenApiVersion,
  shared: Definitions,
): (name: string) => Schema | undefined {
  const makers = new Map<string, () => Schema>();
  for (const { custom, resource } of served) {
    if (!custom) continue;
    const { group, version, kind } = resource;
    const listKind = custom.definition.spec.names.listKind ?? `${kind}List`;
    makers.set(customDefinitionName(group, version, kind), () => customSchema(custom, dialect, shared));
    makers.set(customDefinitionName(group, version, listKind), () =>
      customListSchema(custom, dialect, shared),
    );
  }
  return (name) => makers.get(name)?.();
}

/** The document compressed; made once, tried again if that failed. */
function bytesOf({ source, dialect, made }: Document, encoding: Encoding): Promise<Buffer> {
  let bytes = made.get(encoding);
  if (!bytes) {
    bytes = makeDocument(source, dialect, encoding, new Slices()).then((document) =>
      compress(document, { level: gzipLevel }),
    );
    made.set(encoding, bytes);
    bytes.catch(() => made.delete(encoding));
  }
  return bytes;
}
