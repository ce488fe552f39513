import assert from 'node:assert/strict';
import type { Chapter, Session } from './session.ts';

/** Versions are at work side by side: each has a group and a kind of its own. */
const groupOf = (s: Session): string => `${s.namespace}.example`;
const singular = (s: Session): string => `boat${s.minor}`;
const plural = (s: Session): string => `boats${s.minor}`;
const kind = (s: Session): string => `Boat${s.minor}`;

const definition = (s: Session): string =>
  JSON.stringify({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural(s)}.${groupOf(s)}` },
    spec: {
      group: groupOf(s),
      scope: 'Namespaced',
      names: {
        plural: plural(s),
        singular: singular(s),
        kind: kind(s),
        listKind: `${kind(s)}List`,
        shortNames: [`bt${s.minor}`],
        categories: [`fleet${s.minor}`],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.crew', statusReplicasPath: '.status.crew' },
          },
          additionalPrinterColumns: [{ name: 'Length', type: 'integer', jsonPath: '.spec.length' }],
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  });

const schema = {
  type: 'object',
  description: 'Something that floats.',
  properties: {
    spec: {
      type: 'object',
      required: ['length'],
      'x-kubernetes-validations': [
        { rule: 'self.length > self.draught', message: 'a boat is longer than deep' },
        {
          rule: 'self.length >= oldSelf.length',
          messageExpression: '"boats do not shrink from %d".format([oldSelf.length])',
        },
      ],
      properties: {
        length: { type: 'integer', description: 'Metres over all.' },
        draught: { type: 'integer', default: 1 },
        rig: { type: 'string', enum: ['sloop', 'ketch'] },
        crew: { type: 'integer' },
        berths: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, beds: { type: 'integer' } },
          },
        },
      },
    },
    status: { type: 'object', properties: { crew: { type: 'integer' } } },
  },
};

const boat = (s: Session, spec: object, name = 'ada'): string =>
  JSON.stringify({ apiVersion: `${groupOf(s)}/v1`, kind: kind(s), metadata: { name }, spec });

export const custom: Chapter = {
  'a definition is served at once, its objects by short name and category': async (s) => {
    assert.match(await s.feed(definition(s), 'apply -f -'), /customresourcedefinition\S* created/);
    await s.anywhere(`wait --for=condition=Established crd/${plural(s)}.${groupOf(s)} --timeout=30s`);
    assert.match(await s.feed(boat(s, { length: 10 }), 'create -f -'), /^boat\S+\/ada created\n$/);
    const shown = /^NAME +LENGTH\nada +10\n$/;
    for (const name of [plural(s), singular(s), `bt${s.minor}`, `${plural(s)}.${groupOf(s)}`])
      assert.match(await s.k(`get ${name}`), shown);
    assert.match(await s.k(`get fleet${s.minor} -o name`), /^boat\S+\/ada\n$/);
    assert.equal(await s.value(`${singular(s)} ada`, '.spec.draught'), '1');
    assert.match(
      await s.anywhere(`api-resources --api-group=${groupOf(s)}`),
      /^boats\d+ +bt\d+ .* true +Boat\d+$/m,
    );
    assert.match(await s.k(`describe ${singular(s)} ada`), /^ {2}Length: +10$/m);
  },

  'objects are judged by the schema, and by its rules': async (s) => {
    const patch = (spec: object): Promise<string> =>
      s.refused(`patch ${singular(s)} ada --type=merge -p`, JSON.stringify({ spec }));
    assert.match(await patch({ draught: 11 }), /spec: Invalid value: .*a boat is longer than deep/);
    assert.match(await patch({ length: 9 }), /spec: Invalid value: .*boats do not shrink from 10/);
    assert.match(
      await patch({ length: 'x' }),
      /spec\.length: Invalid value: "string": .*in body must be of type integer/,
    );
    assert.match(
      await patch({ rig: 'cutter' }),
      /spec\.rig: Unsupported value: "cutter": supported values: "sloop", "ketch"/,
    );
    assert.match(
      await s.refusedInput(boat(s, {}, 'b'), 'create -f - --validate=false'),
      /spec\.length: Required value/,
    );
    const twice = { length: 5, berths: [{ name: 'port' }, { name: 'port' }] };
    assert.match(
      await s.refusedInput(boat(s, twice, 'b'), 'create -f -'),
      /spec\.berths\[1\]: Duplicate value/,
    );
    const unknown = boat(s, { length: 5, sail: 'red' }, 'b');
    // kubectl itself judges by the schema, older ones on their own and newer ones by asking the server.
    assert.match(await s.refusedInput(unknown, 'create -f -'), /unknown field "(spec\.)?sail"/);
    await s.feed(unknown, 'create -f - --validate=false');
    assert.equal(await s.value(`${singular(s)} b`, '.spec'), '{"draught":1,"length":5}');
    await s.k(`delete ${singular(s)} b`);
  },

  'scale, patch, edit and apply of custom objects': async (s) => {
    assert.match(await s.k(`scale ${singular(s)} ada --replicas=3`), /boat\S+\/ada scaled/);
    assert.equal(await s.value(`${singular(s)} ada`, '.spec.crew'), '3');
    assert.match(
      await s.refused(`patch ${singular(s)} ada -p {"spec":{"length":12}}`),
      /strategic merge patch|application\/strategic-merge-patch\+json is not supported|UnsupportedMediaType/,
    );
    await s.k(`patch ${singular(s)} ada --type=json -p [{"op":"replace","path":"/spec/length","value":12}]`);
    assert.equal(await s.value(`${singular(s)} ada`, '.metadata.generation'), '3');
    const berths = (name: string, beds: number): string => boat(s, { length: 12, berths: [{ name, beds }] });
    await s.feed(berths('port', 1), 'apply --server-side --field-manager=captain --force-conflicts -f -');
    await s.feed(berths('star', 2), 'apply --server-side --field-manager=mate -f -');
    assert.equal(await s.value(`${singular(s)} ada`, '.spec.berths[*].name'), 'port star');
    assert.match(
      await s.refusedInput(berths('port', 2), 'apply --server-side --field-manager=mate -f -'),
      /conflict with "captain": \.spec\.berths\[name="port"\]\.beds/,
    );
  },

  'explain knows the definition’s words': async (s) => {
    const text = await s.anywhere(`explain ${plural(s)}.spec --api-version=${groupOf(s)}/v1`);
    assert.match(text, /^ +length\t<integer> -required-\n +Metres over all\.$/m);
  },

  'and all goes with the definition': async (s) => {
    await s.anywhere(`delete crd ${plural(s)}.${groupOf(s)} --timeout=60s`);
    assert.match(
      await s.refused(`get ${plural(s)}.${groupOf(s)}`),
      /the server doesn't have a resource type|could not find the requested resource/,
    );
  },
};
