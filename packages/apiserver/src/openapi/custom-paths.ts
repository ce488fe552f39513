/** Paths of a custom resource (apiextensions-apiserver/pkg/controller/openapi/builder). */
import { apiVersionOf } from '@cloudless/kube/object';
import type { Served } from '../registry/catalogue.ts';
import { customDefinitionName } from './custom-schema.ts';
import { definitionName, metaDefinition } from './definitions.ts';
import {
  bodies,
  type Method,
  naming,
  type Operation,
  parameters,
  type PathItem,
  pathParameters,
  title,
} from './operation.ts';
import { refTo, type Schema } from './schema.ts';

const mediaTypes = ['application/json', 'application/yaml'];
const patchMediaTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/apply-patch+yaml',
];
const status = refTo(metaDefinition('Status'));
const scale = refTo(definitionName('autoscaling.v1.Scale'));

/** All paths of one custom resource in one version. */
export function* customPathsOf(served: Served): Generator<PathItem> {
  const { resource, subresources } = served;
  const { group, version, kind, plural, namespaced } = resource;
  const { prefix, tag } = naming(group, version);
  const scope = namespaced ? 'Namespaced' : '';
  const atScope = namespaced ? [pathParameters.namespace] : [];
  const root = `/apis/${apiVersionOf(resource)}`;
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const own = refTo(customDefinitionName(group, version, kind));
  const listKind = served.custom?.definition.spec.names.listKind ?? `${kind}List`;
  const list = refTo(customDefinitionName(group, version, listKind));

  const operation = (action: string, id: string, rest: Omit<Partial<Operation>, 'id'>): Operation => ({
    id,
    tags: [tag],
    consumes: mediaTypes,
    produces: mediaTypes,
    parameters: [],
    codes: [200],
    answer: own,
    action,
    kind: { group, version, kind },
    ...rest,
  });
  const listing = (id: string, at: typeof atScope): Operation =>
    operation('list', id, { parameters: [...at, ...parameters.pretty, ...parameters.list], answer: list });
  const body = { schema: own, required: true };

  if (namespaced) {
    const forAll = listing(`list${prefix}${kind}ForAllNamespaces`, []);
    yield { path: `${root}/${plural}`, operations: new Map([['get', forAll]]) };
  }
  const onCollection = new Map<Method, Operation>([
    ['get', listing(`list${prefix}${scope}${kind}`, atScope)],
    [
      'post',
      operation('post', `create${prefix}${scope}${kind}`, {
        parameters: [...atScope, ...parameters.pretty, ...parameters.writing],
        body,
        codes: [200, 201, 202],
      }),
    ],
    [
      'delete',
      operation('deletecollection', `delete${prefix}Collection${scope}${kind}`, {
        parameters: [...atScope, ...parameters.pretty, ...parameters.list],
        answer: status,
      }),
    ],
  ]);
  yield { path: collection, operations: onCollection };

  const at = [...atScope, pathParameters.name, ...parameters.pretty];
  const onItem = (subresource: string, answer: Schema): Map<Method, Operation> => {
    const suffix = `${prefix}${scope}${kind}${title(subresource)}`;
    return new Map([
      ['get', operation('get', `read${suffix}`, { parameters: [...at, ...parameters.get], answer })],
      [
        'put',
        operation('put', `replace${suffix}`, {
          parameters: [...at, ...parameters.writing],
          body: { schema: answer, required: true },
          codes: [200, 201],
          answer,
        }),
      ],
      [
        'patch',
        operation('patch', `patch${suffix}`, {
          consumes: patchMediaTypes,
          parameters: [...at, ...parameters.patching],
          body: bodies.patch,
          answer,
        }),
      ],
    ]);
  };
  const item = onItem('', own);
  item.set(
    'delete',
    operation('delete', `delete${prefix}${scope}${kind}`, {
      parameters: [...at, ...parameters.deleting],
      body: bodies.deleteOptions,
      codes: [200, 202],
      answer: status,
    }),
  );
  yield { path: `${collection}/{name}`, operations: item };
  if (subresources.has('status'))
    yield { path: `${collection}/{name}/status`, operations: onItem('status', own) };
  if (subresources.has('scale'))
    yield { path: `${collection}/{name}/scale`, operations: onItem('scale', scale) };
}
