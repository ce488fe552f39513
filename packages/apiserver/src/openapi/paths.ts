import { apiVersionOf } from '@cloudless/kube/object';
import { type GroupVersionKind, schemaOf } from '@cloudless/kube/schema/schema';
import type { Served } from '../registry/catalogue.ts';
import { definitionName } from './schemas.ts';

export type OpenApiVersion = 'v2' | 'v3';
type Json = Record<string, unknown>;

export const schemaPath = (name: string, version: OpenApiVersion): string =>
  version === 'v2' ? `#/definitions/${name}` : `#/components/schemas/${name}`;

const bodyTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

/** Query parameters by verb. `kubectl` looks for `fieldValidation` and `dryRun` before it trusts the server. */
const writeParameters = { dryRun: 'string', fieldManager: 'string', fieldValidation: 'string' };
const listParameters = {
  allowWatchBookmarks: 'boolean',
  continue: 'string',
  fieldSelector: 'string',
  labelSelector: 'string',
  limit: 'integer',
  resourceVersion: 'string',
  resourceVersionMatch: 'string',
  sendInitialEvents: 'boolean',
  timeoutSeconds: 'integer',
  watch: 'boolean',
};
const deleteParameters = {
  dryRun: 'string',
  gracePeriodSeconds: 'integer',
  orphanDependents: 'boolean',
  propagationPolicy: 'string',
};

interface Operation {
  method: string;
  action: string;
  parameters: Readonly<Record<string, string>>;
  /** Kind of the body; none for reads. */
  takes?: GroupVersionKind | 'patch' | undefined;
  gives: GroupVersionKind;
}

const itemVerbs: Readonly<Record<string, Pick<Operation, 'method' | 'action' | 'parameters'>>> = {
  get: { method: 'get', action: 'get', parameters: {} },
  update: { method: 'put', action: 'put', parameters: writeParameters },
  patch: { method: 'patch', action: 'patch', parameters: { ...writeParameters, force: 'boolean' } },
  delete: { method: 'delete', action: 'delete', parameters: deleteParameters },
};

function parameter(name: string, type: string, where: 'query' | 'path', version: OpenApiVersion): Json {
  const required = where === 'path' ? { required: true } : {};
  const typed = version === 'v2' ? { type } : { schema: { type } };
  return { name, in: where, ...required, ...typed, uniqueItems: true };
}

function withoutUnique({ uniqueItems: _unused, ...rest }: Json): Json {
  return rest;
}

/** The paths of these resources, with what clients read: kinds, actions, parameters, bodies. */
export function pathsOf(served: readonly Served[], version: OpenApiVersion): Json {
  const paths: Record<string, Json> = {};
  for (const each of served) {
    const { resource, verbs, subresources, computed } = each;
    const root = `/${resource.group === '' ? 'api' : 'apis'}/${apiVersionOf(resource)}`;
    const scoped = resource.namespaced ? `${root}/namespaces/{namespace}` : root;
    const collection = `${scoped}/${resource.plural}`;
    const list = { ...resource, kind: `${resource.kind}List` };
    const operations: Operation[] = [];
    if (verbs.includes('list')) {
      operations.push({ method: 'get', action: 'list', parameters: listParameters, gives: list });
    }
    if (verbs.includes('create')) {
      operations.push({
        method: 'post',
        action: 'post',
        parameters: writeParameters,
        takes: resource,
        gives: resource,
      });
    }
    if (verbs.includes('deletecollection')) {
      const parameters = { ...listParameters, ...deleteParameters };
      operations.push({
        method: 'delete',
        action: 'deletecollection',
        parameters,
        gives: statusOf(resource),
      });
    }
    paths[collection] = pathItem(each, operations, version, scoped !== root, false);
    if (resource.namespaced && verbs.includes('list')) {
      paths[`${root}/${resource.plural}`] = pathItem(each, operations.slice(0, 1), version, false, false);
    }
    if (!computed)
      paths[`${collection}/{name}`] = pathItem(
        each,
        itemOperations(verbs, resource),
        version,
        scoped !== root,
        true,
      );
    for (const subresource of subresources.values()) {
      const own = itemOperations(subresource.verbs, subresource);
      if (subresource.verbs.includes('create')) {
        own.push({
          method: 'post',
          action: 'post',
          parameters: writeParameters,
          takes: subresource,
          gives: subresource,
        });
      }
      paths[`${collection}/{name}/${subresource.name}`] = pathItem(each, own, version, scoped !== root, true);
    }
  }
  return paths;
}

function itemOperations(verbs: readonly string[], kind: GroupVersionKind): Operation[] {
  return Object.entries(itemVerbs)
    .filter(([verb]) => verbs.includes(verb))
    .map(([verb, facts]) => {
      const takes = verb === 'update' ? kind : verb === 'patch' ? 'patch' : undefined;
      return { ...facts, takes, gives: verb === 'delete' ? statusOf(kind) : kind };
    });
}

const statusOf = (kind: GroupVersionKind): GroupVersionKind => ({ ...kind, kind: 'Status' });

function pathItem(
  served: Served,
  operations: readonly Operation[],
  version: OpenApiVersion,
  namespaced: boolean,
  named: boolean,
): Json {
  const at = [...(namespaced ? ['namespace'] : []), ...(named ? ['name'] : [])];
  const item: Json = { parameters: at.map((name) => parameter(name, 'string', 'path', version)) };
  for (const operation of operations) item[operation.method] = operationOf(served, operation, version);
  return item;
}

const refOf = (kind: GroupVersionKind, version: OpenApiVersion): Json => {
  const struct = schemaOf(kind);
  return struct ? { $ref: schemaPath(definitionName(struct.name), version) } : { type: 'object' };
};

function operationOf(served: Served, operation: Operation, version: OpenApiVersion): Json {
  const { resource } = served;
  const { group, version: apiVersion } = resource;
  const kind = operation.takes && operation.takes !== 'patch' ? operation.takes : resource;
  const query = Object.entries(operation.parameters).map(([name, type]) =>
    parameter(name, type, 'query', version),
  );
  const result = refOf(operation.gives, version);
  const facts = {
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': { group: kind.group, version: kind.version, kind: kind.kind },
    tags: [`${group === '' ? 'core' : group.split('.')[0]}_${apiVersion}`],
  };
  const patch = operation.takes === 'patch';
  const types = patch ? patchTypes : bodyTypes;
  const body = patch
    ? { type: 'object' }
    : operation.takes && refOf(operation.takes as GroupVersionKind, version);
  if (version === 'v2') {
    const parameters = [
      ...query,
      ...(body ? [{ name: 'body', in: 'body', required: true, schema: body }] : []),
    ];
    const responses = { 200: { description: 'OK', schema: result } };
    return { ...facts, consumes: types, produces: bodyTypes, parameters, responses };
  }
  const content = (schema: Json, all: readonly string[]): Json =>
    Object.fromEntries(all.map((type) => [type, { schema }]));
  return {
    ...facts,
    parameters: query.map(withoutUnique),
    ...(body ? { requestBody: { required: true, content: content(body, types) } } : {}),
    responses: { 200: { description: 'OK', content: content(result, bodyTypes) } },
  };
}
