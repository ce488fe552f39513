import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { KubeClient } from './client/client.ts';
import { systemClock, type Clock } from './clock.ts';
import { apiextensions } from './generated/resources.ts';
import type { CustomResourceDefinition } from './generated/types/apiextensions-v1.ts';
import { isNotFound } from './status.ts';

const ownerLabel = 'app.kubernetes.io/managed-by';

/** The CustomResourceDefinitions in the YAML files of a folder, one a file, in the order of the files' names. */
export function readDefinitions(folder: URL): CustomResourceDefinition[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => parse(readFileSync(new URL(name, folder), 'utf8')) as CustomResourceDefinition);
}

/** Definitions that are not served in time; the message names them and what the API server says of them. */
export class DefinitionsNotServedError extends Error {
  override readonly name = 'DefinitionsNotServedError';
}

export interface InstallOptions {
  definitions: readonly CustomResourceDefinition[];
  /** Who owns the fields, `cloudless-PART`. */
  fieldManager: string;
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  /** How long to wait until all are Established. Default 30 s. */
  timeoutMs?: number | undefined;
}

export interface InstalledDefinitions {
  /** Applied by this call, by name (`ipaddresspools.metallb.io`). */
  readonly applied: readonly string[];
  /** Left as they are, because somebody else (upstream's own manifests) brought them. */
  readonly foreign: readonly string[];
}

/**
 * Brings kinds into a cluster by server-side apply and resolves when all are Established. Definitions of somebody else
 * are left alone: they may have versions and a conversion webhook that must stay theirs.
 *
 * @throws DefinitionsNotServedError after `timeoutMs`; StatusError as the API server refuses
 */
export async function installDefinitions(
  client: KubeClient,
  options: InstallOptions,
): Promise<InstalledDefinitions> {
  const { signal } = options;
  const applied: string[] = [];
  const foreign: string[] = [];
  for (const definition of options.definitions) {
    const name = definition.metadata?.name ?? '';
    // oxlint-disable-next-line no-await-in-loop -- a few, and the API server works on them one after another
    const there = await definitionOf(client, name, signal);
    if (there && there.metadata?.labels?.[ownerLabel] !== 'cloudless') {
      foreign.push(name);
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop
    await client.patch(apiextensions.customresourcedefinitions, name, 'apply', definition, {
      fieldManager: options.fieldManager,
      force: true,
      signal,
    });
    applied.push(name);
  }
  await established(client, [...applied, ...foreign], options);
  return { applied, foreign };
}

async function definitionOf(
  client: KubeClient,
  name: string,
  signal: AbortSignal | undefined,
): Promise<CustomResourceDefinition | undefined> {
  try {
    return await client.get(apiextensions.customresourcedefinitions, name, { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const isEstablished = (definition: CustomResourceDefinition): boolean =>
  definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') ??
  false;

/** Watches until every one of `names` is Established. */
async function established(
  client: KubeClient,
  names: readonly string[],
  options: InstallOptions,
): Promise<void> {
  const clock = options.clock ?? systemClock;
  const timeoutMs = options.timeoutMs ?? 30_000;
  const late = new AbortController();
  const timer = clock.setTimeout(() => late.abort(), timeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
  const waiting = new Map<string, string>(names.map((name) => [name, 'not there']));
  const look = (definition: CustomResourceDefinition): void => {
    const name = definition.metadata?.name ?? '';
    if (!waiting.has(name)) return;
    if (isEstablished(definition)) waiting.delete(name);
    else {
      const refused = definition.status?.conditions?.find(
        ({ status, message }) => status === 'False' && message,
      );
      waiting.set(name, refused?.message ?? 'not yet Established');
    }
  };
  try {
    while (waiting.size > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a watch that the server ends is begun again
      const list = await client.list(apiextensions.customresourcedefinitions, { signal });
      list.items.forEach(look);
      if (waiting.size === 0) return;
      const { resourceVersion } = list.metadata;
      // oxlint-disable-next-line no-await-in-loop
      for await (const event of client.watch(apiextensions.customresourcedefinitions, {
        signal,
        resourceVersion,
      })) {
        if (event.type !== 'BOOKMARK') look(event.object);
        if (waiting.size === 0) return;
      }
    }
  } catch (error) {
    if (!late.signal.aborted || options.signal?.aborted) throw error;
    const list = [...waiting].map(([name, why]) => `${name} (${why})`).join(', ');
    throw new DefinitionsNotServedError(
      `the API server does not serve these definitions after ${timeoutMs / 1000} s: ${list}; ` +
        'look at them with "kubectl describe crd"',
      { cause: error },
    );
  } finally {
    timer.cancel();
  }
}
