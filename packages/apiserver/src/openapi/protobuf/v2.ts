/** `openapi.v2.Document` of gnostic-models (openapiv2/OpenAPIv2.proto). */
import type { Writer } from '@cloudless/kube/protobuf/wire';
import {
  always,
  any,
  around,
  double,
  type FieldWriter,
  flag,
  integer,
  type Json,
  members,
  pairs,
  repeated,
  text,
  texts,
} from './message.ts';

const schemaMembers = (writer: Writer, value: unknown): void => writeSchema(writer, value);
const schema: FieldWriter = always(schemaMembers);

const writeSchema = members(
  {
    $ref: [1, text],
    format: [2, text],
    title: [3, text],
    description: [4, text],
    default: [5, any],
    multipleOf: [6, double],
    maximum: [7, double],
    exclusiveMaximum: [8, flag],
    minimum: [9, double],
    exclusiveMinimum: [10, flag],
    maxLength: [11, integer],
    minLength: [12, integer],
    pattern: [13, text],
    maxItems: [14, integer],
    minItems: [15, integer],
    uniqueItems: [16, flag],
    maxProperties: [17, integer],
    minProperties: [18, integer],
    required: [19, texts],
    enum: [20, repeated(any)],
    additionalProperties: [
      21,
      always((writer, value) => {
        if (typeof value === 'boolean') flag(writer, 2, value);
        else schema(writer, 1, value);
      }),
    ],
    type: [22, around((writer, number, value) => texts(writer, number, [value]))],
    items: [23, around(schema)],
    properties: [25, pairs(schema)],
    externalDocs: [29, always(members({ description: [1, text], url: [2, text] }, 3))],
    example: [30, any],
  },
  31,
);

const bodyParameter = members(
  { description: [1, text], name: [2, text], in: [3, text], required: [4, flag], schema: [5, schema] },
  6,
);
const queryParameter = members(
  {
    required: [1, flag],
    in: [2, text],
    description: [3, text],
    name: [4, text],
    type: [6, text],
    uniqueItems: [20, flag],
  },
  23,
);
const pathParameter = members(
  {
    required: [1, flag],
    in: [2, text],
    description: [3, text],
    name: [4, text],
    type: [5, text],
    uniqueItems: [19, flag],
  },
  22,
);

const parameter: FieldWriter = always((writer, value) => {
  const where = (value as Json)['in'];
  if (where === 'body') always(bodyParameter)(writer, 1, value);
  else if (where === 'query') around(always(queryParameter), 3)(writer, 2, value);
  else around(always(pathParameter), 4)(writer, 2, value);
});

const reference: FieldWriter = always(members({ $ref: [1, text] }, 0));
const parameterOrReference: FieldWriter = always((writer, value) => {
  if ('$ref' in (value as Json)) reference(writer, 2, value);
  else parameter(writer, 1, value);
});

const response: FieldWriter = around(
  always(members({ description: [1, text], schema: [2, around(schema)] }, 5)),
);

const operation: FieldWriter = always(
  members(
    {
      tags: [1, texts],
      operationId: [5, text],
      produces: [6, texts],
      consumes: [7, texts],
      parameters: [8, repeated(parameterOrReference)],
      responses: [9, pairs(response)],
      schemes: [10, texts],
    },
    13,
  ),
);

const pathItem: FieldWriter = always(
  members(
    {
      get: [2, operation],
      put: [3, operation],
      post: [4, operation],
      delete: [5, operation],
      options: [6, operation],
      head: [7, operation],
      patch: [8, operation],
      parameters: [9, repeated(parameterOrReference)],
    },
    10,
  ),
);

const securityDefinition: FieldWriter = around(
  always(members({ type: [1, text], name: [2, text], in: [3, text], description: [4, text] }, 5)),
  2,
);

/** Where the parts of a document go. Paths and definitions come as entries, one message each. */
export const v2Message = {
  pathItem,
  schema,
  head: members(
    { swagger: [1, text], info: [2, always(members({ title: [1, text], version: [2, text] }, 7))] },
    16,
  ),
  paths: { field: 8, entries: 2 },
  schemas: { field: 9, entries: 1 },
  tail: members(
    {
      parameters: [10, pairs(parameter)],
      security: [12, repeated(pairs(always((writer, value) => texts(writer, 1, value))))],
      securityDefinitions: [13, pairs(securityDefinition)],
    },
    16,
  ),
};
