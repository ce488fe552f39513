/** Paths and operations before they are written in one of the two dialects (kube-openapi, pkg/builder). */
import { metaDefinition } from './definitions.ts';
import { refTo, type Schema } from './schema.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'path';
  readonly type: 'string' | 'boolean' | 'integer';
}

export interface Body {
  readonly schema: Schema;
  readonly required: boolean;
}

export interface Operation {
  readonly id: string;
  readonly tags: readonly string[];
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly body?: Body | undefined;
  /** Answers with a body; every operation may also answer 401. */
  readonly codes: readonly number[];
  readonly answer: Schema;
  /** `x-kubernetes-action` and the kind it is about. */
  readonly action?: string;
  readonly kind?: { readonly group: string; readonly version: string; readonly kind: string };
}

export type Method = 'get' | 'put' | 'post' | 'delete' | 'options' | 'head' | 'patch';

export interface PathItem {
  readonly path: string;
  readonly operations: ReadonlyMap<Method, Operation>;
}

export const answerNames: Readonly<Record<number, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };

const query = (type: Parameter['type'], ...names: string[]): Parameter[] =>
  names.map((name) => ({ name, in: 'query', type }));
const inPath = (name: string): Parameter => ({ name, in: 'path', type: 'string' });

export const pathParameters = { name: inPath('name'), namespace: inPath('namespace'), path: inPath('path') };

const pretty = query('string', 'pretty');
const dryRun = query('string', 'dryRun');
const writing = [...dryRun, ...query('string', 'fieldManager', 'fieldValidation')];
const selecting = [
  ...query('string', 'continue', 'fieldSelector', 'labelSelector', 'resourceVersion', 'resourceVersionMatch'),
  ...query('string', 'shardSelector'),
  ...query('boolean', 'sendInitialEvents'),
  ...query('integer', 'limit', 'timeoutSeconds'),
];
const watching = query('boolean', 'allowWatchBookmarks', 'watch');
const deleting = [
  ...dryRun,
  ...query('integer', 'gracePeriodSeconds'),
  ...query('boolean', 'ignoreStoreReadErrorWithClusterBreakingPotential', 'orphanDependents'),
  ...query('string', 'propagationPolicy'),
];

/** Query parameters by what they are for (the Options of apimachinery/pkg/apis/meta/v1). */
export const parameters = {
  pretty,
  get: query('string', 'resourceVersion'),
  list: [...selecting, ...watching],
  selecting,
  deleting,
  writing,
  patching: [...writing, ...query('boolean', 'force')],
  log: [
    ...query('string', 'container', 'stream'),
    ...query('boolean', 'follow', 'insecureSkipTLSVerifyBackend', 'previous', 'timestamps'),
    ...query('integer', 'limitBytes', 'sinceSeconds', 'tailLines'),
  ],
  exec: [...query('string', 'command', 'container'), ...query('boolean', 'stderr', 'stdin', 'stdout', 'tty')],
  attach: [...query('string', 'container'), ...query('boolean', 'stderr', 'stdin', 'stdout', 'tty')],
  portforward: query('integer', 'ports'),
  proxy: query('string', 'path'),
} satisfies Record<string, readonly Parameter[]>;

export const bodies = {
  patch: { schema: refTo(metaDefinition('Patch')), required: true },
  deleteOptions: { schema: refTo(metaDefinition('DeleteOptions')), required: false },
} satisfies Record<string, Body>;

/** `stable.example.com` → `stableExampleCom`: only letters, digits and underscores, words joined by capitals. */
export function identifier(text: string, capital: boolean): string {
  const words = text.replace(/^\p{Nd}/u, '').split(/[^\p{L}\p{Nd}_]+/u);
  const joined = words.map((word, index) => (index > 0 || capital ? title(word) : word));
  return joined.join('');
}

/** Prefix of the ids and the tag of a group version's operations; `version` undefined for the group itself. */
export function naming(group: string, version?: string): { prefix: string; tag: string } {
  const trimmed = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '');
  const own = version === undefined ? '' : identifier(version, true);
  return {
    prefix: identifier(trimmed, true) + own,
    tag: identifier(trimmed, false) + (version === undefined ? '' : `_${identifier(version, false)}`),
  };
}

/** `ephemeralcontainers` → `Ephemeralcontainers` */
export const title = (word: string): string => word.slice(0, 1).toUpperCase() + word.slice(1);
