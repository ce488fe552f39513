import { filled } from '../mutations.ts';
import type { Case } from '../case.ts';
import type { Ask } from '../peer.ts';
import { another, type Tested } from '../resources.ts';

const yaml = { 'content-type': 'application/apply-patch+yaml' };
const merge = { 'content-type': 'application/merge-patch+json' };

type Fields = Record<string, unknown>;

/** Server-side apply: created, applied again, in conflict, by force, with less, its status, and wrong bodies. */
export function applyCases(tested: Tested): Case[] {
  const [other, free] = [another(tested, 'apply', 31), another(tested, 'applied', 32)];
  if (!other || !free) return [];
  const { label, facts, struct } = tested;
  const { item, object } = other;
  const types = { apiVersion: object['apiVersion'], kind: object['kind'] };
  const metadata = object['metadata'] as { name: string; namespace?: string };
  const place = {
    name: metadata.name,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
  };
  const apply = (query: string, body: Fields | string, path = item): Ask => ({
    method: 'PATCH',
    path: `${path}?${query}`,
    headers: yaml,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const labelled = (labels: Fields): Fields => ({ ...types, metadata: { ...place, labels } });
  const first = { ...object, metadata: { ...place, labels: { app: 'web', a: 'one' } } };
  const asks: Ask[] = [
    apply('fieldManager=one&dryRun=All', first),
    apply('fieldManager=one', first),
    apply('fieldManager=one', first),
    apply('fieldManager=two', labelled({ a: 'one', b: 'two' })),
    apply('fieldManager=two', labelled({ a: 'two' })),
    apply('fieldManager=two&force=true', labelled({ a: 'two' })),
    apply('fieldManager=one', { ...object, metadata: { ...place, labels: { app: 'web' } } }),
    {
      method: 'PATCH',
      path: `${item}?fieldManager=three`,
      headers: merge,
      body: '{"metadata":{"labels":{"a":"3"}}}',
    },
    apply('fieldManager=two', labelled({ a: 'two' })),
    apply('fieldManager=two', { ...types, metadata: place }),
    apply('fieldManager=one', { ...types, metadata: place }),
    { method: 'GET', path: item },
  ];
  const status = struct.field('status');
  const hasStatus = facts.subresources.some(({ name }) => name === 'status');
  if (hasStatus && status?.type.kind === 'struct') {
    const whole = { ...types, metadata: place, status: filled(status.type.struct, 3) };
    asks.push(apply('fieldManager=one', whole, `${item}/status`));
    asks.push(apply('fieldManager=one', { ...types, metadata: place, status: {} }, `${item}/status`));
    asks.push(apply('fieldManager=one', whole), { method: 'GET', path: item });
  }
  asks.push({ method: 'DELETE', path: `${item}?gracePeriodSeconds=0` });
  const nothing = item.replace(/[^/]+$/, 'nothing');
  const wrong: Array<[string, Ask]> = [
    ['no manager', apply('dryRun=All', first)],
    ['long manager', apply(`fieldManager=${'m'.repeat(129)}&dryRun=All`, first)],
    ['force that is no boolean', apply('fieldManager=one&force=perhaps&dryRun=All', first)],
    ['no body', apply('fieldManager=one&dryRun=All', '')],
    ['list', apply('fieldManager=one&dryRun=All', '[]')],
    ['text', apply('fieldManager=one&dryRun=All', 'text')],
    ['no apiVersion', apply('fieldManager=one&dryRun=All', { kind: types.kind, metadata: place })],
    ['no kind', apply('fieldManager=one&dryRun=All', { apiVersion: types.apiVersion, metadata: place })],
    ['other kind', apply('fieldManager=one&dryRun=All', { ...first, kind: 'Pot' })],
    ['other version', apply('fieldManager=one&dryRun=All', { ...first, apiVersion: 'example.com/v7' })],
    ['no name', apply('fieldManager=one&dryRun=All', { ...types })],
    ['other name', apply('fieldManager=one&dryRun=All', first, nothing)],
    [
      'managedFields',
      apply('fieldManager=one&dryRun=All', {
        ...types,
        metadata: { ...place, managedFields: [{ manager: 'a' }] },
      }),
    ],
    ['uid', apply('fieldManager=one&dryRun=All', { ...first, metadata: { ...place, uid: 'abc' } })],
    [
      'resourceVersion',
      apply('fieldManager=one&dryRun=All', { ...first, metadata: { ...place, resourceVersion: '1' } }),
    ],
    ['unknown field', apply('fieldManager=one&dryRun=All', { ...first, unknown: 1 })],
    [
      'unknown field, strict',
      apply('fieldManager=one&dryRun=All&fieldValidation=Strict', { ...first, unknown: 1 }),
    ],
    [
      'unknown field, warned',
      apply('fieldManager=one&dryRun=All&fieldValidation=Warn', { ...first, unknown: 1 }),
    ],
    [
      'labels that are a list',
      apply('fieldManager=one&dryRun=All', { ...types, metadata: { ...place, labels: [] } }),
    ],
    [
      'label that is a number',
      apply('fieldManager=one&dryRun=All', { ...types, metadata: { ...place, labels: { a: 1 } } }),
    ],
    [
      'null label',
      apply('fieldManager=one&dryRun=All', { ...types, metadata: { ...place, labels: { a: null } } }),
    ],
    ['spec that is a text', apply('fieldManager=one&dryRun=All', { ...first, spec: 'text' })],
    ['bad yaml', apply('fieldManager=one&dryRun=All', 'a: b: c')],
    [
      'conflict with what stands',
      apply(
        'fieldManager=one&dryRun=All',
        { ...types, metadata: { ...place, name: tested.item.split('/').at(-1), labels: { app: 'other' } } },
        tested.item,
      ),
    ],
    ['the same as what stands', apply('fieldManager=one&dryRun=All', tested.base, tested.item)],
  ];
  const absent = (free.object['metadata'] as { name: string }).name;
  return [
    { name: `${label} apply life`, family: 'apply', kind: label, asks },
    // Under a name of their own: cases run side by side.
    ...wrong.map(([word, ask]) => ({
      name: `${label} apply ${word}`,
      family: 'apply',
      kind: label,
      asks: [renamed(ask, place.name, absent)],
    })),
  ];
}

const renamed = (ask: Ask, from: string, to: string): Ask => ({
  ...ask,
  path: ask.path.replace(from, to),
  body: String(ask.body ?? '').replaceAll(from, to),
});
