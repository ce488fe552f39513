import { isDeepStrictEqual } from 'node:util';
import { flowcontrol } from '@cloudless/kube/resources';
import { isAlreadyExists, isConflict, isNotFound } from '@cloudless/kube/status';
import type { Resource } from '@cloudless/kube/object';
import type { FlowSchema, PriorityLevelConfiguration } from '@cloudless/kube/types/flowcontrol-v1';
import { autoUpdateAnnotation, mandatory, suggested } from '../flowcontrol/bootstrap.ts';
import type { PartContext, PostStartHook } from '../server/options.ts';

const { flowschemas, prioritylevelconfigurations } = flowcontrol;
const fieldManager = 'api-priority-and-fairness-config-producer-v1';
const intervalMs = 60_000;

type Configuration = FlowSchema | PriorityLevelConfiguration;

/**
 * Creates the flow schemas and priority levels of every cluster and keeps them as they are shipped, each minute:
 * mandatory ones always, suggested ones unless somebody has changed them or annotated them otherwise; removes those
 * that are shipped no more (upstream: pkg/registry/flowcontrol/rest, …/ensurer). Goes on until the server stops.
 */
export const flowControlHook: PostStartHook = {
  name: 'priority-and-fairness-config-producer',
  beside: true,
  async run(context) {
    await ensureAll(context);
    const { clock, signal, log } = context;
    let timer: { cancel(): void } | undefined;
    const again = (): void => {
      timer = clock.setTimeout(() => {
        ensureAll(context)
          .catch((error: unknown) => {
            if (!signal.aborted) log.warn({ err: error }, 'flow schemas could not be maintained');
          })
          .finally(() => signal.aborted || again());
      }, intervalMs);
    };
    if (signal.aborted) return;
    again();
    signal.addEventListener('abort', () => timer?.cancel(), { once: true });
  },
};

async function ensureAll(context: PartContext): Promise<void> {
  await Promise.all([
    ensureKind(context, prioritylevelconfigurations, suggested.levels, mandatory.levels),
    ensureKind(context, flowschemas, suggested.schemas, mandatory.schemas),
  ]);
}

async function ensureKind<T extends Configuration>(
  context: PartContext,
  resource: Resource<T>,
  optional: readonly T[],
  needed: readonly T[],
): Promise<void> {
  const { client, caches, signal } = context;
  const cache = caches.of(resource);
  await cache.ready;
  const shipped = new Set([...optional, ...needed].map(({ metadata }) => metadata.name));
  const ensure = async (wanted: T, always: boolean): Promise<void> => {
    const current = cache.get('', wanted.metadata.name ?? '');
    try {
      if (!current) await client.create(resource, structuredClone(wanted), { fieldManager, signal });
      else {
        const revised = revise(current, wanted, always);
        if (revised) await client.update(resource, revised, { fieldManager, signal });
      }
    } catch (error) {
      // Somebody else was faster: it is looked at again in a minute.
      if (!isAlreadyExists(error) && !isConflict(error)) throw error;
    }
  };
  await Promise.all([
    ...optional.map((one) => ensure(one, false)),
    ...needed.map((one) => ensure(one, true)),
    ...Array.from(cache.list(), async ({ metadata: { name = '', annotations } }) => {
      if (shipped.has(name) || asBoolean(annotations?.[autoUpdateAnnotation]) !== true) return;
      await client.delete(resource, name, { signal }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }),
  ]);
}

/** What becomes of an object that exists; undefined: nothing. */
export function revise<T extends Configuration>(current: T, wanted: T, always: boolean): T | undefined {
  const given = asBoolean(current.metadata.annotations?.[autoUpdateAnnotation]);
  const isKept = always || (given ?? current.metadata.generation === 1);
  const specChanged = isKept && !isDeepStrictEqual(current.spec, withOwnShares(wanted, current).spec);
  if (given === isKept && !specChanged) return undefined;
  const { metadata } = current;
  return {
    ...current,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [autoUpdateAnnotation]: String(isKept) },
    },
    ...(specChanged ? { spec: wanted.spec } : {}),
  };
}

/** The shares of the exempt level are the administrator's. */
function withOwnShares<T extends Configuration>(wanted: T, current: T): T {
  const { spec } = current as PriorityLevelConfiguration;
  if (wanted.metadata.name !== 'exempt' || !spec?.exempt) return wanted;
  return { ...wanted, spec: { ...wanted.spec, exempt: spec.exempt } };
}

/** Go: strconv.ParseBool; undefined for what is none. */
function asBoolean(text: string | undefined): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text ?? '')) return true;
  return ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text ?? '') ? false : undefined;
}
