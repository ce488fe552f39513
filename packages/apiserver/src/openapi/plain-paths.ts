/** Paths that are no resources: discovery, version, and what service account tokens are checked by. */
import type { PathItem } from './operation.ts';
import { naming } from './operation.ts';
import { mediaTypes } from './paths.ts';
import { metaDefinition, versionInfoName } from './definitions.ts';
import { refTo, type Schema } from './schema.ts';

const json = ['application/json'];

function reads(
  path: string,
  id: string,
  tag: string,
  answer: Schema,
  produces: readonly string[],
  consumes: readonly string[],
): PathItem {
  const operation = { id, tags: [tag], consumes, produces, parameters: [], codes: [200], answer };
  return { path, operations: new Map([['get', operation]]) };
}

const discovery = (path: string, id: string, tag: string, type: string): PathItem =>
  reads(path, id, tag, refTo(metaDefinition(type)), mediaTypes, mediaTypes);

/** `/apis/apps/v1/`, `/api/v1/`: the resources of a group version. */
export function groupVersionPath(group: string, version: string): PathItem {
  const { prefix, tag } = naming(group, version);
  const root = group === '' ? `/api/${version}/` : `/apis/${group}/${version}/`;
  return discovery(root, `get${prefix}APIResources`, tag, 'APIResourceList');
}

/** `/apis/apps/`: the versions of a group. */
export function groupPath(group: string): PathItem {
  const { prefix, tag } = naming(group);
  return discovery(`/apis/${group}/`, `get${prefix}APIGroup`, tag, 'APIGroup');
}

const text: Schema = { type: 'string' };
const oidcConfiguration = '/.well-known/openid-configuration';
const oidcKeys = '/openid/v1/jwks';

/** Documents of one path each, by their name in the index of version 3. `served` are the server's other paths. */
export function plainDocuments(served: readonly string[]): Map<string, PathItem> {
  const documents = new Map<string, PathItem>([
    ['api', discovery('/api/', 'getCoreAPIVersions', 'core', 'APIVersions')],
    ['apis', discovery('/apis/', 'getAPIVersions', 'apis', 'APIGroupList')],
    ['version', reads('/version/', 'getCodeVersion', 'version', refTo(versionInfoName), json, json)],
  ]);
  if (served.includes(oidcConfiguration)) {
    const id = 'getServiceAccountIssuerOpenIDConfiguration';
    const item = reads(`${oidcConfiguration}/`, id, 'WellKnown', text, json, []);
    documents.set(oidcConfiguration.slice(1), item);
  }
  if (served.includes(oidcKeys)) {
    const types = ['application/jwk-set+json'];
    const item = reads(`${oidcKeys}/`, 'getServiceAccountIssuerOpenIDKeyset', 'openid', text, types, []);
    documents.set(oidcKeys.slice(1), item);
  }
  return documents;
}
