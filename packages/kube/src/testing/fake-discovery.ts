import * as resources from '../generated/resources.ts';
import type { Resource } from '../object.ts';

const allResources: Resource[] = Object.values(resources).flatMap(
  (group) => Object.values(group) as Resource[],
);
/** Kinds that are only ever posted. */
const postOnly = new Set(['bindings', 'componentstatuses']);
const transient = /^(authentication|authorization)\.k8s\.io$/;

/** What `GET path` answers: `/version` and plain discovery; undefined for anything else. */
export function discovery(path: string): unknown {
  if (path === '/version') return { major: '1', minor: '36', gitVersion: 'v1.36.0' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  const persistent = allResources.filter((one) => !transient.test(one.group) && !postOnly.has(one.plural));
  if (path === '/apis') {
    const groups = [...new Set(persistent.map((one) => one.group))].filter((group) => group !== '');
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: groups.map((name) => {
        const versions = [
          ...new Set(persistent.filter((one) => one.group === name).map((one) => one.version)),
        ].map((version) => ({ groupVersion: `${name}/${version}`, version }));
        return { name, versions, preferredVersion: versions[0] };
      }),
    };
  }
  const match = /^\/api(?:s\/([^/]+))?\/([^/]+)$/.exec(path);
  if (!match) return undefined;
  const [, group = '', version] = match;
  const listed = persistent.filter((one) => one.group === group && one.version === version);
  if (listed.length === 0) return undefined;
  const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources: listed.map(({ plural, kind, namespaced }) => {
      return { name: plural, singularName: kind.toLowerCase(), namespaced, kind, verbs };
    }),
  };
}
