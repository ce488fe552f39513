/** A path item as OpenAPI 3.0 writes it (kube-openapi, pkg/builder3). */
import { answerNames, type Operation, type Parameter, type PathItem } from './operation.ts';
import type { Schema } from './schema.ts';
import { sharedParameters } from './shared-parameters.ts';

type Json = Record<string, unknown>;

const parameterOf = ({ name, in: where, type }: Parameter): Json => ({
  name,
  in: where,
  ...(where === 'path' ? { required: true } : {}),
  schema: { type, uniqueItems: true },
});

const contentOf = (types: readonly string[], schema: Schema): Json =>
  Object.fromEntries(types.map((type) => [type, { schema }]));

export function writeV3({ operations }: PathItem): Json {
  const shared = sharedParameters([...operations.values()]);
  const item: Json = {};
  for (const [method, operation] of operations) item[method] = operationOf(operation, shared);
  if (shared.length > 0) item['parameters'] = shared.map(parameterOf);
  return item;
}

function operationOf(operation: Operation, shared: readonly Parameter[]): Json {
  const { id, tags, consumes, produces, parameters, body, codes, answer, action, kind } = operation;
  const own = parameters.filter((each) => !shared.includes(each)).sort(byName);
  const responses: Json = {};
  for (const code of codes) {
    responses[code] = { description: answerNames[code], content: contentOf(produces, answer) };
  }
  responses[401] = { description: 'Unauthorized' };
  return {
    tags,
    operationId: id,
    ...(own.length > 0 ? { parameters: own.map(parameterOf) } : {}),
    ...(body
      ? {
          requestBody: {
            content: contentOf(consumes, body.schema),
            ...(body.required ? { required: true } : {}),
          },
        }
      : {}),
    responses,
    ...(action === undefined ? {} : { 'x-kubernetes-action': action }),
    ...(kind ? { 'x-kubernetes-group-version-kind': kind } : {}),
  };
}

const byName = (a: Parameter, b: Parameter): number => (a.name < b.name ? -1 : 1);
