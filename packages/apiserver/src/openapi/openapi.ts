import { createHash } from 'node:crypto';
import { apiVersionOf } from '@cloudless/kube/object';
import type { Catalogue, Served } from '../registry/catalogue.ts';
import type { PathResponse } from '../server/options.ts';
import { pathsOf, type OpenApiVersion } from './paths.ts';
import { encodeDocument } from './protobuf.ts';
import { componentsOf } from './schemas.ts';

/** What kubectl up to 1.27 asks for, with `@` before the version; Go cannot parse that as a type of an answer. */
const asksForProtobuf = /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/;
const protobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/**
 * OpenAPI of the served resources: v3 as an index with a hash per group version and a document each, v2 as one JSON
 * document. Made when asked for, kept as bytes.
 */
export class OpenApi {
  readonly #catalogue: Catalogue;
  readonly #title: { title: string; version: string };
  readonly #documents = new Map<string, { body: Buffer; hash: string }>();

  constructor(catalogue: Catalogue, gitVersion: string) {
    this.#catalogue = catalogue;
    this.#title = { title: 'Kubernetes', version: gitVersion };
  }

  /** Answers `/openapi/v3`, `/openapi/v3/…` and `/openapi/v2`; undefined for a path it does not know. */
  respond(path: string, query: URLSearchParams, accept: string): PathResponse | undefined {
    if (path === '/openapi/v2') {
      if (!asksForProtobuf.test(accept))
        return this.#answer(
          this.#once('v2', () => this.#whole()),
          'application/json',
        );
      return this.#answer(
        this.#once('v2 protobuf', () => encodeDocument(this.#whole())),
        protobufType,
      );
    }
    if (path === '/openapi/v3') {
      const body = `${JSON.stringify({ paths: this.#index() })}\n`;
      return { contentType: 'application/json', body };
    }
    const served = this.#groupVersionAt(path.replace('/openapi/v3/', ''));
    if (!served) return undefined;
    const document = this.#once(path, () => this.#document(served, 'v3'));
    // A client that asks by hash may keep the answer for good.
    const forever = query.get('hash') === document.hash;
    const answer = this.#answer(document, 'application/json');
    return forever
      ? { ...answer, headers: { ...answer.headers, 'cache-control': 'public, immutable' } }
      : answer;
  }

  #answer({ body, hash }: { body: Buffer; hash: string }, contentType: string): PathResponse {
    return { contentType, headers: { etag: `"${hash}"`, vary: 'Accept' }, body };
  }

  #once(key: string, make: () => object): { body: Buffer; hash: string } {
    let document = this.#documents.get(key);
    if (!document) {
      const made = make();
      const body = Buffer.isBuffer(made) ? made : Buffer.from(JSON.stringify(made));
      const hash = createHash('sha512').update(body).digest('hex').toUpperCase();
      this.#documents.set(key, (document = { body, hash }));
    }
    return document;
  }

  /** `apis/apps/v1` → its resources. */
  #groupVersionAt(path: string): readonly Served[] | undefined {
    const groupVersion = path.startsWith('apis/')
      ? path.slice(5)
      : path.startsWith('api/')
        ? path.slice(4)
        : '';
    const served = this.#catalogue.groupVersions.get(groupVersion);
    return served && pathOfGroup(served) === path ? served : undefined;
  }

  #index(): Record<string, { serverRelativeURL: string }> {
    const paths: Record<string, { serverRelativeURL: string }> = {};
    for (const served of this.#catalogue.groupVersions.values()) {
      const path = pathOfGroup(served);
      const { hash } = this.#once(`/openapi/v3/${path}`, () => this.#document(served, 'v3'));
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
    }
    return paths;
  }

  #document(served: readonly Served[], version: OpenApiVersion): object {
    const paths = pathsOf(served, version);
    return {
      openapi: '3.0.0',
      info: this.#title,
      paths,
      components: { schemas: componentsOf(served, version) },
    };
  }

  #whole(): Record<string, unknown> {
    const all = [...this.#catalogue.all()];
    return {
      swagger: '2.0',
      info: this.#title,
      paths: pathsOf(all, 'v2'),
      definitions: componentsOf(all, 'v2'),
    };
  }
}

function pathOfGroup(served: readonly Served[]): string {
  const { resource } = served[0] as Served;
  return `${resource.group === '' ? 'api' : 'apis'}/${apiVersionOf(resource)}`;
}
