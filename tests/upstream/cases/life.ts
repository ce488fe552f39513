import { encodeProtobuf, hasProtobuf } from '../../../packages/kube/src/codec/protobuf.ts';
import type { Case } from '../case.ts';
import { another, collectionOf, type Tested } from '../resources.ts';
import type { Ask } from '../peer.ts';

const json = { 'content-type': 'application/json' };
const table = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
const partial = {
  accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json',
};
const protobuf = 'application/vnd.kubernetes.protobuf';

/** Reads of the object that stands on both servers, in every form. */
export function readCases(tested: Tested): Case[] {
  const { label, item, collection, facts } = tested;
  const get = (path: string, headers: Record<string, string> = {}): Ask => ({ method: 'GET', path, headers });
  const root = collection.replace('/namespaces/default', '');
  const asks: Array<[string, Ask]> = [
    ['get', get(item)],
    ['get as Table', get(item, table)],
    ['get as Table with objects', get(`${item}?includeObject=Object`, table)],
    [
      'get as metadata',
      get(item, { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' }),
    ],
    ['get in yaml', get(item, { accept: 'application/yaml' })],
    ['get in protobuf', get(item, { accept: protobuf })],
    ['get nothing', get(`${collection}/nothing`)],
    ['get with bad media type', get(item, { accept: 'text/turtle' })],
    ['list', get(collection)],
    ['list as Table', get(collection, table)],
    ['list as Table without objects', get(`${collection}?includeObject=None`, table)],
    ['list metadata', get(collection, partial)],
    ['list in protobuf', get(collection, { accept: protobuf })],
    ['list by label', get(`${collection}?labelSelector=app%3Dweb`)],
    ['list by labels', get(`${collection}?labelSelector=app+in+(web,db),!nothing`)],
    ['list by bad label', get(`${collection}?labelSelector=app%3D%3D%3Dweb`)],
    ['list by bad label key', get(`${collection}?labelSelector=_a-%2Fb%3Dc`)],
    ['list by name', get(`${collection}?fieldSelector=metadata.name%3D${item.split('/').at(-1)}`)],
    ['list by other names', get(`${collection}?fieldSelector=metadata.name!%3D${item.split('/').at(-1)}`)],
    ['list by namespace', get(`${root}?fieldSelector=metadata.namespace%3Ddefault`)],
    ['list by unknown field', get(`${collection}?fieldSelector=spec.nothing%3Da`)],
    ['list by bad field selector', get(`${collection}?fieldSelector=spec`)],
    ['list with limit', get(`${collection}?limit=1`)],
    ['list with bad limit', get(`${collection}?limit=one`)],
    ['list with negative limit', get(`${collection}?limit=-1`)],
    ['list with bad continue', get(`${collection}?continue=abc`)],
    ['list at bad version', get(`${collection}?resourceVersion=abc`)],
    ['list at match without version', get(`${collection}?resourceVersionMatch=Exact`)],
    ['list at version 0 exactly', get(`${collection}?resourceVersion=0&resourceVersionMatch=Exact`)],
    ['list at bad match', get(`${collection}?resourceVersion=1&resourceVersionMatch=About`)],
    ['list far in the future', get(`${collection}?resourceVersion=99999999&timeoutSeconds=1`)],
    ['watch at bad version', get(`${collection}?watch=1&resourceVersion=abc&timeoutSeconds=1`)],
    [
      'watch with initial events, no match',
      get(`${collection}?watch=1&sendInitialEvents=true&timeoutSeconds=1`),
    ],
    ['pretty', get(`${item}?pretty=true`)],
  ];
  if (facts.namespaced) {
    asks.push(['list of no namespace', get(collectionOf(facts, 'nothing'))]);
    asks.push([
      'create in no namespace',
      {
        ...get(collectionOf(facts, 'nothing')),
        method: 'POST',
        headers: json,
        body: JSON.stringify(tested.second).replace('"namespace":"default"', '"namespace":"nothing"'),
      },
    ]);
  }
  for (const { name } of facts.subresources) asks.push([`get ${name}`, get(`${item}/${name}`)]);
  return asks.map(([word, ask]) => ({
    name: `${label} read ${word}`,
    family: 'read',
    kind: label,
    asks: [ask],
  }));
}

/** Requests that no kind may take, and options of each verb. */
export function verbCases(tested: Tested): Case[] {
  const { label, item, collection, second, facts } = tested;
  const body = JSON.stringify(second);
  const name = (second['metadata'] as { name: string }).name;
  const options = (more: object): string =>
    JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', ...more });
  const asks: Array<[string, Ask]> = [
    ['empty body', { method: 'POST', path: collection, headers: json, body: '' }],
    ['no JSON', { method: 'POST', path: collection, headers: json, body: '{"a":' }],
    ['list as body', { method: 'POST', path: collection, headers: json, body: '[]' }],
    ['text as body', { method: 'POST', path: collection, headers: json, body: '"text"' }],
    [
      'no kind',
      {
        method: 'POST',
        path: `${collection}?dryRun=All`,
        headers: json,
        body: JSON.stringify({ metadata: { name: 'a' } }),
      },
    ],
    [
      'other kind',
      { method: 'POST', path: collection, headers: json, body: JSON.stringify({ ...second, kind: 'Pot' }) },
    ],
    [
      'known other kind',
      {
        method: 'POST',
        path: collection,
        headers: json,
        body: JSON.stringify({ apiVersion: 'v1', kind: 'Binding', metadata: { name: 'a' } }),
      },
    ],
    [
      'other version',
      {
        method: 'POST',
        path: collection,
        headers: json,
        body: JSON.stringify({ ...second, apiVersion: 'example.com/v7' }),
      },
    ],
    [
      'text/plain body',
      { method: 'POST', path: collection, headers: { 'content-type': 'text/plain' }, body },
    ],
    [
      'yaml body',
      {
        method: 'POST',
        path: `${collection}?dryRun=All`,
        headers: { 'content-type': 'application/yaml' },
        body,
      },
    ],
    [
      'bad yaml body',
      {
        method: 'POST',
        path: `${collection}?dryRun=All`,
        headers: { 'content-type': 'application/yaml' },
        body: 'a: b: c',
      },
    ],
    ['bad dryRun', { method: 'POST', path: `${collection}?dryRun=Some`, headers: json, body }],
    [
      'bad fieldValidation',
      { method: 'POST', path: `${collection}?dryRun=All&fieldValidation=Maybe`, headers: json, body },
    ],
    [
      'long fieldManager',
      {
        method: 'POST',
        path: `${collection}?dryRun=All&fieldManager=${'m'.repeat(129)}`,
        headers: json,
        body,
      },
    ],
    [
      'fieldManager not printable',
      { method: 'POST', path: `${collection}?dryRun=All&fieldManager=a%00b`, headers: json, body },
    ],
    [
      'duplicate field',
      {
        method: 'POST',
        path: `${collection}?dryRun=All&fieldValidation=Strict`,
        headers: json,
        body: body.replace('{', `{"kind":"${facts.kind}",`),
      },
    ],
    [
      'duplicate field warned',
      {
        method: 'POST',
        path: `${collection}?dryRun=All&fieldValidation=Warn`,
        headers: json,
        body: body.replace('{', `{"kind":"${facts.kind}",`),
      },
    ],
    ['existing', { method: 'POST', path: collection, headers: json, body: JSON.stringify(tested.base) }],
    [
      'existing, dry run',
      { method: 'POST', path: `${collection}?dryRun=All`, headers: json, body: JSON.stringify(tested.base) },
    ],
    ['PUT collection', { method: 'PUT', path: collection, headers: json, body }],
    [
      'PATCH collection',
      {
        method: 'PATCH',
        path: collection,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{}',
      },
    ],
    ['POST item', { method: 'POST', path: item, headers: json, body }],
    ['PUT other name', { method: 'PUT', path: item, headers: json, body }],
    [
      'PUT nothing',
      {
        method: 'PUT',
        path: `${collection}/nothing?dryRun=All`,
        headers: json,
        body: body.replace(`"${name}"`, '"nothing"'),
      },
    ],
    [
      'PUT old version',
      {
        method: 'PUT',
        path: item,
        headers: json,
        body: JSON.stringify({
          ...tested.base,
          metadata: { ...(tested.base['metadata'] as object), resourceVersion: '1' },
        }),
      },
    ],
    [
      'PUT bad version',
      {
        method: 'PUT',
        path: item,
        headers: json,
        body: JSON.stringify({
          ...tested.base,
          metadata: { ...(tested.base['metadata'] as object), resourceVersion: 'abc' },
        }),
      },
    ],
    [
      'PUT other uid',
      {
        method: 'PUT',
        path: item,
        headers: json,
        body: JSON.stringify({
          ...tested.base,
          metadata: { ...(tested.base['metadata'] as object), uid: 'abc' },
        }),
      },
    ],
    [
      'PUT without version',
      { method: 'PUT', path: `${item}?dryRun=All`, headers: json, body: JSON.stringify(tested.base) },
    ],
    [
      'PATCH nothing',
      {
        method: 'PATCH',
        path: `${collection}/nothing`,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{}',
      },
    ],
    [
      'PATCH without change',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{}',
      },
    ],
    ['PATCH bad type', { method: 'PATCH', path: item, headers: json, body: '{}' }],
    [
      'PATCH no JSON',
      { method: 'PATCH', path: item, headers: { 'content-type': 'application/merge-patch+json' }, body: '{' },
    ],
    [
      'PATCH list',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '[]',
      },
    ],
    [
      'strategic list',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
        body: '[]',
      },
    ],
    [
      'strategic bad directive',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
        body: '{"metadata":{"$patch":"burn"}}',
      },
    ],
    [
      'strategic delete of labels',
      {
        method: 'PATCH',
        path: `${item}?dryRun=All`,
        headers: { 'content-type': 'application/strategic-merge-patch+json' },
        body: '{"metadata":{"labels":{"$patch":"replace","z":"y"}}}',
      },
    ],
    [
      'JSON patch that fails its test',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/json-patch+json' },
        body: '[{"op":"test","path":"/kind","value":"Pot"}]',
      },
    ],
    [
      'JSON patch of no place',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/json-patch+json' },
        body: '[{"op":"replace","path":"/nothing/here","value":1}]',
      },
    ],
    [
      'JSON patch unknown op',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/json-patch+json' },
        body: '[{"op":"burn","path":"/kind"}]',
      },
    ],
    [
      'JSON patch object',
      { method: 'PATCH', path: item, headers: { 'content-type': 'application/json-patch+json' }, body: '{}' },
    ],
    [
      'rename by patch',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{"metadata":{"name":"other"}}',
      },
    ],
    [
      'kind by patch',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{"kind":"Pot"}',
      },
    ],
    [
      'version by patch',
      {
        method: 'PATCH',
        path: item,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{"metadata":{"resourceVersion":"1"}}',
      },
    ],
    [
      'force without apply',
      {
        method: 'PATCH',
        path: `${item}?force=true`,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: '{}',
      },
    ],
    ['DELETE nothing', { method: 'DELETE', path: `${collection}/nothing` }],
    [
      'DELETE other uid',
      { method: 'DELETE', path: item, headers: json, body: options({ preconditions: { uid: 'abc' } }) },
    ],
    [
      'DELETE old version',
      {
        method: 'DELETE',
        path: item,
        headers: json,
        body: options({ preconditions: { resourceVersion: '1' } }),
      },
    ],
    ['DELETE dry run', { method: 'DELETE', path: `${item}?dryRun=All` }],
    [
      'DELETE bad propagation',
      { method: 'DELETE', path: `${collection}/nothing?propagationPolicy=Sideways` },
    ],
    [
      'DELETE two ways',
      {
        method: 'DELETE',
        path: `${collection}/nothing`,
        headers: json,
        body: options({ orphanDependents: true, propagationPolicy: 'Orphan' }),
      },
    ],
    ['DELETE negative grace', { method: 'DELETE', path: `${item}?gracePeriodSeconds=-5&dryRun=All` }],
    [
      'DELETE bad options',
      {
        method: 'DELETE',
        path: `${collection}/nothing`,
        headers: json,
        body: '{"kind":"Pod","apiVersion":"v1"}',
      },
    ],
    ['DELETE no JSON', { method: 'DELETE', path: `${collection}/nothing`, headers: json, body: '{' }],
    [
      'DELETE collection, dry run',
      { method: 'DELETE', path: `${collection}?dryRun=All&labelSelector=app%3Dnothing` },
    ],
    ['unknown subresource', { method: 'GET', path: `${item}/nothing` }],
    ['unknown verb', { method: 'OPTIONS', path: item }],
    ['HEAD', { method: 'HEAD', path: item }],
  ];
  return asks.map(([word, ask]) => ({
    name: `${label} verbs ${word}`,
    family: 'verbs',
    kind: label,
    asks: [ask],
  }));
}

/** Created, changed and deleted for real, in JSON and protobuf, with generated names. */
export function lifeCases(tested: Tested): Case[] {
  const { label, collection, second, facts } = tested;
  const metadata = second['metadata'] as { name: string };
  const as = (name: string): string => JSON.stringify({ ...second, metadata: { ...metadata, name } });
  const fixed = ['IPAddress', 'APIService', 'CustomResourceDefinition', 'ServiceCIDR'].includes(facts.kind);
  const own = facts.storage?.version === facts.version;
  const name = fixed ? metadata.name : `${metadata.name}-life${own ? '' : `-${facts.version}`}`;
  const item = `${collection}/${name}`;
  const merge = { 'content-type': 'application/merge-patch+json' };
  const asks: Ask[] = [
    { method: 'POST', path: collection, headers: json, body: as(name) },
    { method: 'GET', path: item },
    { method: 'PATCH', path: item, headers: merge, body: '{"metadata":{"labels":{"changed":"yes"}}}' },
    {
      method: 'PUT',
      path: item,
      headers: json,
      body: JSON.stringify({
        ...second,
        metadata: { ...metadata, name, resourceVersion: '{{resourceVersion}}', labels: { put: 'yes' } },
      }),
      current: item,
    },
    { method: 'PATCH', path: item, headers: merge, body: '{"metadata":{"finalizers":["example.com/hold"]}}' },
    { method: 'DELETE', path: item },
    { method: 'GET', path: item },
    { method: 'DELETE', path: `${item}?gracePeriodSeconds=0` },
    {
      method: 'PATCH',
      path: item,
      headers: merge,
      body: '{"metadata":{"finalizers":["example.com/other"]}}',
    },
    { method: 'PATCH', path: item, headers: merge, body: '{"metadata":{"finalizers":null}}' },
    { method: 'GET', path: item },
  ];
  const cases: Case[] = [{ name: `${label} life`, family: 'life', kind: label, asks }];
  if (!fixed) {
    const generated = { ...metadata, generateName: 'made-' } as { name?: string };
    delete generated.name;
    const body = JSON.stringify({ ...second, metadata: generated });
    cases.push({
      name: `${label} generated name`,
      family: 'life',
      kind: label,
      asks: [{ method: 'POST', path: `${collection}?dryRun=All`, headers: json, body }],
    });
  }
  if (hasProtobuf(facts)) {
    const types = { 'content-type': protobuf, accept: protobuf };
    // Of a name of its own, where the kind has any: a life of the second object may go on beside.
    const sent = another(tested, 'sent', 71)?.object ?? second;
    cases.push({
      name: `${label} protobuf`,
      family: 'protobuf',
      kind: label,
      asks: [
        {
          method: 'POST',
          path: `${collection}?dryRun=All`,
          headers: types,
          body: encodeProtobuf(sent),
        },
        {
          method: 'POST',
          path: `${collection}?dryRun=All`,
          headers: types,
          body: encodeProtobuf({ apiVersion: second['apiVersion'], kind: facts.kind, metadata: {} }),
        },
        {
          method: 'POST',
          path: `${collection}?dryRun=All`,
          headers: types,
          body: Buffer.from('k8s\0garbage'),
        },
        {
          method: 'POST',
          path: `${collection}?dryRun=All`,
          headers: { ...types, accept: 'application/json' },
          body: Buffer.from('garbage'),
        },
      ],
    });
  }
  return cases;
}
