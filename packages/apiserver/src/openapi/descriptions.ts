/**
 * Descriptions of the built-in types and their fields, read at run time from the doc comments in the declarations of
 * the npm package `kubernetes-models`. Nothing is loaded or kept: each type is one small file,
 * read when a document that holds the type is made. Without the package documents have no descriptions.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire, findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';

export interface TypeDescription {
  readonly text: string | undefined;
  /** By JSON name. */
  readonly fields: ReadonlyMap<string, string>;
}

export interface Descriptions {
  /** Name and version of what they come from, empty for none: documents that differ only by it differ in their hash. */
  readonly source: string;
  /** Of a definition by its OpenAPI name (`io.k8s.api.core.v1.PodSpec`); undefined when nothing is known. */
  of(definition: string): TypeDescription | undefined;
}

export const noDescriptions: Descriptions = { source: '', of: () => undefined };

const modelsPackage = 'kubernetes-models';
const machineryPackage = '@kubernetes-models/apimachinery';

/** Folder of an installed package, seen from `from`; undefined when it is not installed. */
function folderOf(name: string, from: string): string | undefined {
  try {
    const manifest = findPackageJSON(name, from);
    return manifest && existsSync(manifest) ? dirname(manifest) : undefined;
  } catch {
    return undefined;
  }
}

/** The descriptions of the installed package, or {@link noDescriptions}. `from` is the module that looks for it. */
export function installedDescriptions(from: string = import.meta.url): Descriptions {
  const models = folderOf(modelsPackage, from);
  // The package of the shared types may lie within the other's own node_modules.
  const machinery = models && folderOf(machineryPackage, join(models, 'package.json'));
  if (!models || !machinery) return noDescriptions;
  const { version } = createRequire(from)(join(models, 'package.json')) as { version: string };
  const groups = new Map<string, string>();
  for (const entry of readdirSync(models, { withFileTypes: true })) {
    if (entry.isDirectory()) groups.set(entry.name.split('.')[0] as string, entry.name);
  }
  return {
    source: `${modelsPackage}@${version}`,
    of(definition) {
      const path = fileOf(definition, models, machinery, groups);
      return path !== undefined && existsSync(path)
        ? readDeclaration(readFileSync(path, 'utf8'), definition.slice(definition.lastIndexOf('.') + 1))
        : undefined;
    },
  };
}

/** `io.k8s.api.apps.v1.Deployment` → `MODELS/apps/v1/Deployment.d.ts`. */
function fileOf(
  definition: string,
  models: string,
  machinery: string,
  groups: ReadonlyMap<string, string>,
): string | undefined {
  const shared = /^io\.k8s\.apimachinery\.pkg\.(.+)$/.exec(definition);
  if (shared) return join(machinery, `${(shared[1] as string).replaceAll('.', '/')}.d.ts`);
  const [name = '', version = '', group = ''] = definition.split('.').reverse();
  if (group === 'core') return join(models, version, `${name}.d.ts`);
  const folder = groups.get(group);
  return folder && join(models, folder, version, `${name}.d.ts`);
}

const fieldPattern = /^ {4}\/\*\*\n((?: {5}\*.*\n)+) {4}"?([^"\s?:]+)"?\??: /gm;

/** Text of a doc comment without the stars. */
function textOf(comment: string): string {
  return comment
    .split('\n')
    .filter((line) => line.trim() !== '*/')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .filter((line) => line !== '@deprecated')
    .join('\n')
    .replaceAll('\\*', '*')
    .trim();
}

/**
 * Reads the declaration of `interface I<NAME>` (or a type alias of that name): its own comment and those of its members.
 */
export function readDeclaration(source: string, name: string): TypeDescription {
  const head = new RegExp(`(?:/\\*\\*\\n((?: \\*.*\\n)+))?export (?:interface|type) I${name}\\b`).exec(
    source,
  );
  const fields = new Map<string, string>();
  if (!head) return { text: undefined, fields };
  const start = head.index + head[0].length;
  const end = source.indexOf('\n}', start);
  const body = source.slice(start, end < 0 ? undefined : end);
  for (const [, comment = '', field = ''] of body.matchAll(fieldPattern)) fields.set(field, textOf(comment));
  return { text: head[1] === undefined ? undefined : textOf(head[1]), fields };
}
