import type { KubeClient } from '@cloudless/kube/client/client';
import type { Resource } from '@cloudless/kube/object';
import type { APIGroupList, APIResourceList } from '@cloudless/kube/types/meta-v1';

/** A resource that the server serves, with what can be done to it. */
export interface ServedResource extends Resource {
  readonly verbs: readonly string[];
}

export interface Discovered {
  /** Each resource once, in its group's preferred version, or the first that has it. */
  resources: ServedResource[];
  /** Kinds in every served version, by `apiVersion/Kind`, as owner references name them. */
  byKind: Map<string, ServedResource>;
  /** Groups that did not answer (an aggregated server that is down), with why. */
  failures: Map<string, Error>;
}

/**
 * What the server serves, by plain discovery (upstream: discovery.ServerPreferredResources). A group that fails
 * does not keep the others from being known; the call throws when the list of groups cannot be had.
 */
export async function discover(client: KubeClient, signal?: AbortSignal): Promise<Discovered> {
  const read = async <T>(path: string): Promise<T> =>
    JSON.parse(await client.raw('GET', path, { signal })) as T;
  const groups = await read<APIGroupList>('/apis');
  const result: Discovered = { resources: [], byKind: new Map(), failures: new Map() };
  const versions: Array<{ group: string; version: string; path: string }> = [
    { group: '', version: 'v1', path: '/api/v1' },
  ];
  for (const group of groups.groups ?? []) {
    const preferred = group.preferredVersion?.version;
    const names = group.versions
      .map((one) => one.version)
      .sort((a, b) => Number(b === preferred) - Number(a === preferred));
    for (const version of names)
      versions.push({ group: group.name, version, path: `/apis/${group.name}/${version}` });
  }
  const lists = await Promise.all(
    versions.map(async (one) => {
      try {
        return { ...one, list: await read<APIResourceList>(one.path) };
      } catch (error) {
        if (signal?.aborted) throw error;
        result.failures.set(one.group === '' ? one.version : `${one.group}/${one.version}`, error as Error);
        return undefined;
      }
    }),
  );
  const seen = new Set<string>();
  for (const found of lists) {
    if (!found) continue;
    for (const one of found.list.resources) {
      if (one.name.includes('/')) continue;
      const served: ServedResource = Object.freeze({
        group: found.group,
        version: found.version,
        plural: one.name,
        kind: one.kind,
        namespaced: one.namespaced,
        verbs: one.verbs,
      });
      const apiVersion = found.group === '' ? found.version : `${found.group}/${found.version}`;
      result.byKind.set(`${apiVersion}/${one.kind}`, served);
      const name = `${one.name}.${found.group}`;
      if (seen.has(name)) continue;
      seen.add(name);
      result.resources.push(served);
    }
  }
  return result;
}
