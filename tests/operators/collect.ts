/**
 * Collects the CustomResourceDefinitions of real operators for these tests: `node tests/operators/collect.ts`. Clones each
 * repository at its tag and writes `testdata/crds/OPERATOR.json`. Only facts are kept: names, types, enums, patterns, defaults, list
 * types, rules, columns, subresources. Descriptions are dropped, and texts that a rule would answer with are our own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CustomResourceDefinition, JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { parseAllDocuments } from 'yaml';

interface Source {
  repository: string;
  tag: string;
  /** Folder of the YAML files. */
  folder: string;
}

const github = (name: string, tag: string, folder: string): Source => ({
  repository: `https://github.com/${name}`,
  tag,
  folder,
});
const flux = (part: string, tag: string): Source =>
  github(`fluxcd/${part}-controller`, tag, 'config/crd/bases');

/** Where the definitions were published. All of them are under the Apache License 2.0. */
export const sources: Readonly<Record<string, readonly Source[]>> = {
  'cert-manager': [github('cert-manager/cert-manager', 'v1.21.1', 'deploy/crds')],
  'cloudnative-pg': [github('cloudnative-pg/cloudnative-pg', 'v1.30.0', 'config/crd/bases')],
  flux: [
    flux('source', 'v1.9.1'),
    flux('kustomize', 'v1.9.4'),
    flux('helm', 'v1.6.3'),
    flux('notification', 'v1.9.3'),
  ],
  metallb: [github('metallb/metallb', 'v0.16.1', 'config/crd/bases')],
  'prometheus-operator': [
    github('prometheus-operator/prometheus-operator', 'v0.93.0', 'example/prometheus-operator-crd'),
  ],
};

/** Members of a schema that hold a schema, a list of them, or a map of them. */
const single = ['not'] as const;
const several = ['allOf', 'anyOf', 'oneOf'] as const;

/** The schema without texts that were written for people. `path` is where it is, for the texts of rules. */
function factsOf(schema: JSONSchemaProps, path: string): JSONSchemaProps {
  const { description: _text, title: _title, example: _example, externalDocs: _docs, ...facts } = schema;
  if (facts.properties) {
    const properties = Object.entries(facts.properties);
    facts.properties = Object.fromEntries(
      properties.map(([name, each]) => [name, factsOf(each, `${path}.${name}`)]),
    );
  }
  if (facts.items) facts.items = factsOf(facts.items, `${path}[]`);
  if (typeof facts.additionalProperties === 'object' && facts.additionalProperties !== null)
    facts.additionalProperties = factsOf(facts.additionalProperties, `${path}{}`);
  for (const member of single) if (facts[member]) facts[member] = factsOf(facts[member], path);
  for (const member of several)
    if (facts[member]) facts[member] = facts[member].map((each) => factsOf(each, path));
  const rules = facts['x-kubernetes-validations'];
  if (rules) {
    facts['x-kubernetes-validations'] = rules.map(({ message, messageExpression, ...rule }, index) => ({
      ...rule,
      ...(message === undefined ? {} : { message: `rule ${index + 1} of ${path || 'the object'} is broken` }),
      ...(messageExpression === undefined
        ? {}
        : { messageExpression: `'rule ${index + 1} of ${path} is broken'` }),
    }));
  }
  return facts;
}

function definitionFacts(definition: CustomResourceDefinition): CustomResourceDefinition {
  const { apiVersion, kind, metadata, spec } = definition;
  return {
    apiVersion,
    kind,
    metadata: { name: metadata?.name },
    spec: {
      ...spec,
      versions: spec.versions.map(({ schema, additionalPrinterColumns, deprecationWarning, ...version }) => ({
        ...version,
        ...(deprecationWarning === undefined
          ? {}
          : { deprecationWarning: `${spec.group}/${version.name} ${spec.names.kind} is deprecated` }),
        ...(additionalPrinterColumns
          ? {
              additionalPrinterColumns: additionalPrinterColumns.map(
                ({ description: _text, ...column }) => column,
              ),
            }
          : {}),
        ...(schema?.openAPIV3Schema
          ? { schema: { openAPIV3Schema: factsOf(schema.openAPIV3Schema, '') } }
          : {}),
      })),
    },
  };
}

function readDefinitions({ repository, tag, folder }: Source): CustomResourceDefinition[] {
  const clone = mkdtempSync(join(tmpdir(), 'operators-'));
  try {
    const git = (...args: string[]): unknown => execFileSync('git', args, { stdio: 'inherit' });
    // Only this folder's files are brought.
    const shallow = ['--depth', '1', '--filter=blob:none', '--no-checkout', '--branch', tag];
    git('-c', 'advice.detachedHead=false', 'clone', '--quiet', ...shallow, repository, clone);
    git('-C', clone, 'checkout', '--quiet', 'HEAD', '--', folder);
    return readdirSync(join(clone, folder))
      .filter((file) => file.endsWith('.yaml'))
      .sort()
      .flatMap((file) => parseAllDocuments(readFileSync(join(clone, folder, file), 'utf8')))
      .map((document) => document.toJS() as CustomResourceDefinition | null)
      .filter((each): each is CustomResourceDefinition => each?.kind === 'CustomResourceDefinition');
  } finally {
    rmSync(clone, { recursive: true });
  }
}

if (import.meta.main) {
  for (const [operator, published] of Object.entries(sources)) {
    const definitions = published.flatMap(readDefinitions).map(definitionFacts);
    // A definition a line, so that a change shows which.
    const lines = definitions.map((each) => JSON.stringify(each));
    const file = new URL(`testdata/crds/${operator}.json`, import.meta.url);
    writeFileSync(file, `[\n${lines.join(',\n')}\n]\n`);
    console.log(`${operator}: ${definitions.length} definitions`);
  }
}
