/** `openapi.v3.Document` of gnostic-models (openapiv3/OpenAPIv3.proto). */
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

const reference: FieldWriter = always(members({ $ref: [1, text] }, 0));
const writeMembers = (writer: Writer, value: unknown): void => writeSchema(writer, value);
const plainSchema: FieldWriter = always(writeMembers);
const schema: FieldWriter = always((writer, value) => {
  if ('$ref' in (value as Json)) reference(writer, 2, value);
  else plainSchema(writer, 1, value);
});

/** `DefaultType` holds a number, a flag or a text; of other defaults only that there is one. */
const defaultType: FieldWriter = always((writer, value) => {
  // A member of a oneof is written although it is zero.
  if (typeof value === 'number') writer.uint32(9).double(value);
  else if (typeof value === 'boolean') writer.uint32(16).bool(value);
  else if (typeof value === 'string') writer.uint32(26).string(value);
});

const writeSchema = members(
  {
    nullable: [1, flag],
    externalDocs: [6, always(members({ description: [1, text], url: [2, text] }, 3))],
    example: [7, any],
    title: [9, text],
    multipleOf: [10, double],
    maximum: [11, double],
    exclusiveMaximum: [12, flag],
    minimum: [13, double],
    exclusiveMinimum: [14, flag],
    maxLength: [15, integer],
    minLength: [16, integer],
    pattern: [17, text],
    maxItems: [18, integer],
    minItems: [19, integer],
    uniqueItems: [20, flag],
    maxProperties: [21, integer],
    minProperties: [22, integer],
    required: [23, texts],
    enum: [24, repeated(any)],
    type: [25, text],
    allOf: [26, repeated(schema)],
    oneOf: [27, repeated(schema)],
    anyOf: [28, repeated(schema)],
    not: [29, plainSchema],
    items: [30, around(schema)],
    properties: [31, pairs(schema)],
    additionalProperties: [
      32,
      always((writer, value) => {
        if (typeof value === 'boolean') writer.uint32(16).bool(value);
        else schema(writer, 1, value);
      }),
    ],
    default: [33, defaultType],
    description: [34, text],
    format: [35, text],
  },
  36,
);

const content: FieldWriter = pairs(always(members({ schema: [1, schema] }, 5)));
const parameter: FieldWriter = around(
  always(members({ name: [1, text], in: [2, text], required: [4, flag], schema: [10, schema] }, 14)),
);
const requestBody: FieldWriter = around(always(members({ content: [2, content], required: [3, flag] }, 4)));
const response: FieldWriter = around(always(members({ description: [1, text], content: [3, content] }, 5)));

const operation: FieldWriter = always(
  members(
    {
      tags: [1, texts],
      operationId: [5, text],
      parameters: [6, repeated(parameter)],
      requestBody: [7, requestBody],
      responses: [8, pairs(response, 2)],
    },
    13,
  ),
);

const pathItem: FieldWriter = always(
  members(
    {
      get: [4, operation],
      put: [5, operation],
      post: [6, operation],
      delete: [7, operation],
      options: [8, operation],
      head: [9, operation],
      patch: [10, operation],
      parameters: [13, repeated(parameter)],
    },
    14,
  ),
);

const securityScheme: FieldWriter = around(
  always(members({ type: [1, text], description: [2, text], name: [3, text], in: [4, text] }, 9)),
);

export const v3Message = {
  pathItem,
  schema,
  head: members(
    { openapi: [1, text], info: [2, always(members({ title: [1, text], version: [6, text] }, 7))] },
    9,
  ),
  paths: { field: 4, entries: 1 },
  /** Within `components`. */
  schemas: { field: 1, entries: 1 },
  components: 5,
  securitySchemes: { field: 7, write: pairs(securityScheme) },
};
