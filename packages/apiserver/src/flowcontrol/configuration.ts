import { apiVersionOf } from '@cloudless/kube/object';
import { flowcontrol } from '@cloudless/kube/resources';
import { isConflict, isNotFound } from '@cloudless/kube/status';
import type { FlowSchema, FlowSchemaCondition } from '@cloudless/kube/types/flowcontrol-v1';
import type { PartContext } from '../server/options.ts';
import type { FlowControl } from './flow-control.ts';

const { flowschemas, prioritylevelconfigurations } = flowcontrol;
const fieldManager = 'api-priority-and-fairness-config-consumer-v1';
/** Servers that disagree about a status must not write it for ever (upstream: shouldDelayUpdate). */
const maxWritesPerMinute = 5;
const retryMs = 30_000;

/**
 * Keeps what requests are classified by as the cluster's objects say, and the `Dangling` condition of flow schemas.
 * Resolves when the objects are in force; goes on until the server stops.
 */
export async function followConfiguration(
  context: Pick<PartContext, 'caches' | 'client' | 'clock' | 'log' | 'signal'>,
  control: FlowControl,
): Promise<void> {
  const { caches, signal, clock } = context;
  const levels = caches.of(prioritylevelconfigurations);
  const schemas = caches.of(flowschemas);
  const statuses = new Statuses(context);
  let asked = false;
  let retry: { cancel(): void } | undefined;
  const digest = (): void => {
    asked = false;
    if (signal.aborted) return;
    retry?.cancel();
    retry = undefined;
    control.configure([...levels.list()], [...schemas.list()]);
    const names = new Set(Array.from(levels.list(), ({ metadata }) => metadata.name));
    if (statuses.update(schemas.list(), (name) => names.has(name))) retry = clock.setTimeout(digest, retryMs);
  };
  // Changes that come together are taken in together.
  const ask = (): void => {
    if (asked) return;
    asked = true;
    setImmediate(digest);
  };
  const stops = [levels.subscribe(ask), schemas.subscribe(ask)];
  signal.addEventListener(
    'abort',
    () => {
      for (const stop of stops) stop();
      retry?.cancel();
    },
    { once: true },
  );
  await Promise.all([levels.ready, schemas.ready]);
  digest();
}

/** Writes `Dangling` conditions, one after the other: nothing waits for them. */
class Statuses {
  readonly #context: Pick<PartContext, 'caches' | 'client' | 'clock' | 'log' | 'signal'>;
  readonly #writes = new Map<string, number[]>();
  readonly #waiting = new Map<string, FlowSchemaCondition>();
  #working = false;

  constructor(context: Pick<PartContext, 'caches' | 'client' | 'clock' | 'log' | 'signal'>) {
    this.#context = context;
  }

  /** Asks for what is not as it should be; true when something has to wait. */
  update(schemas: Iterable<FlowSchema>, exists: (level: string) => boolean): boolean {
    const { clock } = this.#context;
    const minuteAgo = clock.monotonicMs() - 60_000;
    let delayed = false;
    for (const schema of schemas) {
      const condition = danglingCondition(schema, exists, clock.nowMs());
      const { name = '' } = schema.metadata;
      if (!condition) {
        this.#waiting.delete(name);
        continue;
      }
      const recent = (this.#writes.get(name) ?? []).filter((at) => at > minuteAgo);
      this.#writes.set(name, recent);
      if (recent.length > maxWritesPerMinute) delayed = true;
      else this.#waiting.set(name, condition);
    }
    void this.#work();
    return delayed;
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (const [name, condition] of this.#waiting) {
      if (this.#context.signal.aborted) break;
      this.#waiting.delete(name);
      // oxlint-disable-next-line no-await-in-loop -- one after the other, so that a start is not held up
      await this.#write(name, condition);
    }
    this.#working = false;
  }

  async #write(name: string, condition: FlowSchemaCondition): Promise<void> {
    const { caches, client, clock, log, signal } = this.#context;
    const schema = caches.of(flowschemas).get('', name);
    if (!schema) return;
    this.#writes.set(name, [...(this.#writes.get(name) ?? []), clock.monotonicMs()]);
    const { kind } = flowschemas;
    const status = { conditions: [condition] };
    const applied = { apiVersion: apiVersionOf(flowschemas), kind, metadata: { name }, status };
    try {
      await client.patch(flowschemas, name, 'apply', applied, {
        subresource: 'status',
        fieldManager,
        force: true,
        signal,
      });
    } catch (error) {
      // A newer state of it comes by the cache.
      if (isConflict(error) || isNotFound(error) || signal.aborted) return;
      log.warn({ flowSchema: name, err: error }, 'the status of a flow schema could not be written');
    }
  }
}

/** The condition that a schema should have; undefined when it has it (upstream: presyncFlowSchemaStatus). */
function danglingCondition(
  { spec, status }: FlowSchema,
  exists: (level: string) => boolean,
  nowMs: number,
): FlowSchemaCondition | undefined {
  const level = spec?.priorityLevelConfiguration.name ?? '';
  const intro = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)}`;
  const wanted = exists(level)
    ? { status: 'False', reason: 'Found', message: `${intro} and it exists` }
    : { status: 'True', reason: 'NotFound', message: `${intro} but there is no such object` };
  const now = status?.conditions?.find(({ type }) => type === 'Dangling');
  if (now?.status === wanted.status && now.reason === wanted.reason && now.message === wanted.message)
    return undefined;
  const lastTransitionTime = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  return { type: 'Dangling', lastTransitionTime, ...wanted };
}
