import * as fc from 'fast-check';
import { arbitraryObject } from '../../../packages/kube/src/schema/arbitrary.ts';
import { stringifyJson } from '../../../packages/kube/src/codec/json.ts';
import type { Case } from '../case.ts';
import { filled, type Mutation, mutationsOf, statusMutationsOf } from '../mutations.ts';
import { choose, fraction, sample } from '../random.ts';
import type { Tested } from '../resources.ts';

const json = { 'content-type': 'application/json' };

/** Kinds that are looked at more closely than others. */
const deep: Readonly<Record<string, number>> = {
  Pod: 4,
  Service: 2,
  Deployment: 1.5,
  Job: 1.5,
  PersistentVolume: 1.5,
};
const budgetOf = (tested: Tested, perKind: number): number =>
  Math.round(perKind * (deep[tested.facts.kind] ?? 1));

/** Mutations deep in a pod template are Pod's own again: one in four of them is enough for other kinds. */
const isRepeated = (tested: Tested, { path }: Mutation): boolean =>
  tested.facts.kind !== 'Pod' && path.includes('template') && path.length > 5;

function chosen(tested: Tested, all: readonly Mutation[], seed: number, perKind: number): Mutation[] {
  const nameOf = (one: Mutation): string => `${tested.label} ${one.name}`;
  const kept = all.filter((one) => !isRepeated(tested, one) || fraction(seed, nameOf(one)) < 0.25);
  return sample(seed, kept, budgetOf(tested, perKind), nameOf);
}

/** Fresh objects, each wrong or odd in one place. */
export function createCases(tested: Tested, seed: number, perKind: number): Case[] {
  const { label, collection, second, struct } = tested;
  return chosen(tested, mutationsOf(struct, second), seed, perKind).map((mutation) => {
    const name = `${label} create ${mutation.name}`;
    const validation = choose(seed, name, ['', '', '&fieldValidation=Strict', '&fieldValidation=Ignore']);
    return {
      name,
      family: 'create',
      kind: label,
      asks: [
        {
          method: 'POST',
          path: `${collection}?dryRun=All${validation}`,
          headers: json,
          body: JSON.stringify(mutation.object),
        },
      ],
    };
  });
}

const withVersion = (object: Record<string, unknown>): string => {
  const metadata = object['metadata'];
  if (typeof metadata !== 'object' || metadata === null) return JSON.stringify(object);
  return JSON.stringify({ ...object, metadata: { resourceVersion: '{{resourceVersion}}', ...metadata } });
};

/** The object that stands there, replaced by one that differs in one place. */
export function updateCases(tested: Tested, seed: number, perKind: number): Case[] {
  const { label, item, base, struct } = tested;
  return chosen(tested, mutationsOf(struct, base), seed + 1, perKind).map((mutation) => ({
    name: `${label} update ${mutation.name}`,
    family: 'update',
    kind: label,
    asks: [
      {
        method: 'PUT',
        path: `${item}?dryRun=All`,
        headers: json,
        body: withVersion(mutation.object),
        current: item,
      },
    ],
  }));
}

/** A status with every field set to something, and then one of them changed. */
export function statusCases(tested: Tested, seed: number, perKind: number): Case[] {
  const { label, item, base, struct, facts } = tested;
  const field = struct.field('status');
  if (!facts.subresources.some(({ name }) => name === 'status') || field?.type.kind !== 'struct') return [];
  const whole = { ...base, status: filled(field.type.struct, 3) };
  const all = [{ name: 'all', path: [], object: whole }, ...statusMutationsOf(struct, whole)];
  const empty = statusMutationsOf(struct, { ...base, status: {} });
  return [...chosen(tested, all, seed, perKind / 2), ...chosen(tested, empty, seed, perKind / 2)].map(
    (mutation, i) => ({
      name: `${label} status ${mutation.name} #${i}`,
      family: 'status',
      kind: label,
      asks: [
        {
          method: 'PUT',
          path: `${item}/status?dryRun=All`,
          headers: json,
          body: withVersion(mutation.object),
          current: item,
        },
      ],
    }),
  );
}

/** Merge patches made from mutations of the object that stands there, JSON patches and strategic ones. */
export function patchCases(tested: Tested, seed: number, perKind: number): Case[] {
  const { label, item, base, struct } = tested;
  const types = [
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
    'application/json-patch+json',
  ];
  return chosen(tested, mutationsOf(struct, base), seed + 2, perKind / 2).flatMap((mutation): Case[] => {
    const { path, object } = mutation;
    const name = `${label} patch ${mutation.name}`;
    const type = choose(seed, name, types);
    let value: unknown = object;
    for (const key of path) value = (value as Record<string | number, unknown> | undefined)?.[key];
    if (type === types[2]) {
      const pointer = path
        .map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`)
        .join('');
      const op = value === undefined ? { op: 'remove', path: pointer } : { op: 'add', path: pointer, value };
      return [patch(name, label, item, type, [op])];
    }
    if (path.some((key) => typeof key === 'number') && type === types[0]) return [];
    let body: unknown = value === undefined ? null : value;
    let here: unknown = base;
    const places = path.map((key) => {
      const place = here as Record<string | number, unknown> | undefined;
      here = place?.[key];
      return place;
    });
    for (const [i, key] of [...path.entries()].toReversed()) {
      if (typeof key !== 'number') body = { [key]: body };
      // An item of a list is found by its name, where it has one.
      else if (typeof body === 'object' && body !== null) {
        const old = (places[i] as unknown as Array<{ name?: string }> | undefined)?.[key];
        body = [{ ...(old?.name === undefined ? {} : { name: old.name }), ...body }];
      } else body = [body];
    }
    return [patch(name, label, item, type, body)];
  });
}

const patch = (name: string, kind: string, item: string, type: string, body: unknown): Case => ({
  name: `${name} ${type.split('/')[1]?.split('+')[0]}`,
  family: 'patch',
  kind,
  asks: [
    {
      method: 'PATCH',
      path: `${item}?dryRun=All`,
      headers: { 'content-type': type },
      body: JSON.stringify(body),
    },
  ],
});

/** Objects with any fields at all, as the schema allows them. */
export function arbitraryCases(tested: Tested, seed: number, count: number): Case[] {
  const { label, collection, facts, second } = tested;
  const objects = fc.sample(arbitraryObject(facts), { seed, numRuns: count });
  return objects.map((object, i) => {
    const { name, namespace } = second['metadata'] as { name: string; namespace?: string };
    const body = { ...object, metadata: namespace === undefined ? { name } : { name, namespace } };
    return {
      name: `${label} arbitrary ${i}`,
      family: 'arbitrary',
      kind: label,
      asks: [{ method: 'POST', path: `${collection}?dryRun=All`, headers: json, body: stringifyJson(body) }],
    };
  });
}
