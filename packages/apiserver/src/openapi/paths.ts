/** Paths of the built-in resources, as upstream's installer registers them (apiserver/pkg/endpoints/installer.go). */
import { apiVersionOf } from '@cloudless/kube/object';
import type { Served, Subresource } from '../registry/catalogue.ts';
import { returnsDeletedObject } from '../registry/rules.ts';
import { definitionOfKind, metaDefinition } from './definitions.ts';
import {
  bodies,
  type Method,
  naming,
  type Operation,
  type Parameter,
  parameters,
  type PathItem,
  pathParameters,
  title,
} from './operation.ts';
import { refTo, type Schema } from './schema.ts';

export const mediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const watchMediaTypes = [
  ...mediaTypes,
  'application/json;stream=watch',
  'application/vnd.kubernetes.protobuf;stream=watch',
];
const patchMediaTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];
const anything = ['*/*'];
const text: Schema = { type: 'string' };

/** Subresources that are streams, and their parameters; `proxy` also has paths below it. */
const streams: Readonly<
  Record<string, { kind: string; parameters: readonly Parameter[]; methods: Method[] }>
> = {
  exec: { kind: 'PodExecOptions', parameters: parameters.exec, methods: ['get', 'post'] },
  attach: { kind: 'PodAttachOptions', parameters: parameters.attach, methods: ['get', 'post'] },
  portforward: {
    kind: 'PodPortForwardOptions',
    parameters: parameters.portforward,
    methods: ['get', 'post'],
  },
  proxy: {
    kind: '',
    parameters: parameters.proxy,
    methods: ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'],
  },
};

interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const typeOf = (kind: GroupVersionKind): Schema => {
  const name = definitionOfKind(kind);
  return name === undefined ? text : refTo(name);
};
const status = refTo(metaDefinition('Status'));
const watchEvent = refTo(metaDefinition('WatchEvent'));

/** All paths of one built-in resource, subresources and the deprecated `/watch/` ones included. */
export function* pathsOf(served: Served): Generator<PathItem> {
  const builder = new ResourcePaths(served);
  yield builder.collection();
  if (served.resource.namespaced && served.verbs.includes('list')) yield builder.allNamespaces();
  if (!served.computed) yield builder.item();
  for (const subresource of served.subresources.values()) yield* builder.subresource(subresource);
  if (served.verbs.includes('watch')) yield* builder.watches();
}

class ResourcePaths {
  readonly #served: Served;
  readonly #root: string;
  readonly #scoped: string;
  readonly #atScope: readonly Parameter[];
  readonly #scope: string;
  readonly #naming: { prefix: string; tag: string };

  constructor(served: Served) {
    const { group, version, namespaced } = served.resource;
    this.#served = served;
    this.#root = `/${group === '' ? 'api' : 'apis'}/${apiVersionOf(served.resource)}`;
    this.#scoped = namespaced ? '/namespaces/{namespace}' : '';
    this.#atScope = namespaced ? [pathParameters.namespace] : [];
    this.#scope = namespaced ? 'Namespaced' : '';
    this.#naming = naming(group, version);
  }

  get #collection(): string {
    return `${this.#root}${this.#scoped}/${this.#served.resource.plural}`;
  }

  collection(): PathItem {
    const { verbs, resource } = this.#served;
    const operations = new Map<Method, Operation>();
    if (verbs.includes('list')) operations.set('get', this.#list(`list`, this.#scope, '', this.#atScope));
    if (verbs.includes('create')) operations.set('post', this.#create(resource, '', this.#atScope));
    if (verbs.includes('deletecollection')) {
      operations.set('delete', {
        ...this.#facts(resource, 'deletecollection', `Collection${this.#scope}`, ''),
        id: this.#id('delete', `Collection${this.#scope}`, ''),
        parameters: [...this.#atScope, ...parameters.pretty, ...parameters.deleting, ...parameters.selecting],
        body: bodies.deleteOptions,
        codes: [200],
        answer: status,
      });
    }
    return { path: this.#collection, operations };
  }

  allNamespaces(): PathItem {
    const operation = this.#list('list', '', 'ForAllNamespaces', []);
    return {
      path: `${this.#root}/${this.#served.resource.plural}`,
      operations: new Map([['get', operation]]),
    };
  }

  item(): PathItem {
    const { resource, verbs } = this.#served;
    return { path: `${this.#collection}/{name}`, operations: this.#itemOperations(verbs, resource, '') };
  }

  *subresource(subresource: Subresource): Generator<PathItem> {
    const path = `${this.#collection}/{name}/${subresource.name}`;
    const stream = streams[subresource.name];
    if (stream) {
      yield { path, operations: this.#connect(subresource, [], '') };
      if (subresource.name === 'proxy') {
        const operations = this.#connect(subresource, [pathParameters.path], 'WithPath');
        yield { path: `${path}/{path}`, operations };
      }
      return;
    }
    yield { path, operations: this.#itemOperations(subresource.verbs, subresource, subresource.name) };
  }

  *watches(): Generator<PathItem> {
    const { resource, verbs } = this.#served;
    const { plural, namespaced } = resource;
    const single = (path: string, operation: Operation): PathItem => ({
      path,
      operations: new Map([['get', operation]]),
    });
    const watch = (action: string, scope: string, suffix: string, at: readonly Parameter[]): Operation => ({
      ...this.#facts(resource, action, '', ''),
      id: this.#id('watch', scope, suffix),
      produces: watchMediaTypes,
      parameters: [...at, ...parameters.pretty, ...parameters.list],
      codes: [200],
      answer: watchEvent,
    });
    if (namespaced)
      yield single(`${this.#root}/watch/${plural}`, watch('watchlist', '', 'ListForAllNamespaces', []));
    const collection = `${this.#root}/watch${this.#scoped}/${plural}`;
    yield single(collection, watch('watchlist', this.#scope, 'List', this.#atScope));
    if (!verbs.includes('get')) return;
    const named = [...this.#atScope, pathParameters.name];
    yield single(`${collection}/{name}`, watch('watch', this.#scope, '', named));
  }

  #id(verb: string, scope: string, suffix: string): string {
    return `${verb}${this.#naming.prefix}${scope}${this.#served.resource.kind}${suffix}`;
  }

  /** What all operations have in common. */
  #facts(
    { group, version, kind }: GroupVersionKind,
    action: string,
    scope: string,
    suffix: string,
  ): Pick<Operation, 'id' | 'tags' | 'consumes' | 'produces' | 'action' | 'kind'> {
    return {
      id: this.#id(action, scope, suffix),
      tags: [this.#naming.tag],
      consumes: anything,
      produces: mediaTypes,
      action,
      kind: { group, version, kind },
    };
  }

  #list(verb: string, scope: string, suffix: string, at: readonly Parameter[]): Operation {
    const { resource } = this.#served;
    return {
      ...this.#facts(resource, 'list', scope, suffix),
      id: this.#id(verb, scope, suffix),
      produces: watchMediaTypes,
      parameters: [...at, ...parameters.pretty, ...parameters.list],
      codes: [200],
      answer: typeOf({ ...resource, kind: `${resource.kind}List` }),
    };
  }

  #create(kind: GroupVersionKind, subresource: string, at: readonly Parameter[]): Operation {
    return {
      ...this.#facts(kind, 'post', this.#scope, title(subresource)),
      id: this.#id('create', this.#scope, title(subresource)),
      parameters: [...at, ...parameters.pretty, ...parameters.writing],
      body: { schema: typeOf(kind), required: true },
      codes: [200, 201, 202],
      answer: typeOf(kind),
    };
  }

  #itemOperations(
    verbs: readonly string[],
    kind: GroupVersionKind,
    subresource: string,
  ): Map<Method, Operation> {
    const at = [...this.#atScope, pathParameters.name, ...parameters.pretty];
    const suffix = title(subresource);
    const facts = (verb: string, action: string): Omit<Operation, 'parameters' | 'codes' | 'answer'> => ({
      ...this.#facts(kind, action, '', ''),
      id: this.#id(verb, this.#scope, suffix),
    });
    const operations = new Map<Method, Operation>();
    const answer = typeOf(kind);
    if (verbs.includes('get')) {
      const isLog = subresource === 'log';
      operations.set('get', {
        ...facts('read', 'get'),
        ...(isLog ? { produces: ['text/plain', ...mediaTypes] } : {}),
        parameters: isLog ? [...at, ...parameters.log] : at,
        codes: [200],
        answer: isLog ? text : answer,
      });
    }
    if (verbs.includes('update')) {
      operations.set('put', {
        ...facts('replace', 'put'),
        parameters: [...at, ...parameters.writing],
        body: { schema: answer, required: true },
        codes: [200, 201],
        answer,
      });
    }
    if (subresource !== '' && verbs.includes('create')) {
      operations.set('post', this.#create(kind, subresource, [...this.#atScope, pathParameters.name]));
    }
    if (verbs.includes('delete')) {
      operations.set('delete', {
        ...facts('delete', 'delete'),
        parameters: [...at, ...parameters.deleting],
        body: bodies.deleteOptions,
        codes: [200, 202],
        answer: returnsDeletedObject(this.#served.resource) ? answer : status,
      });
    }
    if (verbs.includes('patch')) {
      operations.set('patch', {
        ...facts('patch', 'patch'),
        consumes: patchMediaTypes,
        parameters: [...at, ...parameters.patching],
        body: bodies.patch,
        codes: [200, 201],
        answer,
      });
    }
    return operations;
  }

  #connect(subresource: Subresource, below: readonly Parameter[], suffix: string): Map<Method, Operation> {
    const { resource } = this.#served;
    const stream = streams[subresource.name] as (typeof streams)[string];
    const kind = { ...resource, kind: stream.kind || `${resource.kind}ProxyOptions` };
    const operations = new Map<Method, Operation>();
    for (const method of stream.methods) {
      operations.set(method, {
        ...this.#facts(kind, 'connect', '', ''),
        id: `connect${this.#naming.prefix}${title(method)}${this.#scope}${resource.kind}${title(subresource.name)}${suffix}`,
        produces: anything,
        parameters: [...this.#atScope, pathParameters.name, ...below, ...stream.parameters],
        codes: [200],
        answer: text,
      });
    }
    return operations;
  }
}
