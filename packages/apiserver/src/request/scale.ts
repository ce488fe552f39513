import type { KubeObject } from '@cloudless/kube/object';
import { apiVersionOf } from '@cloudless/kube/object';
import { parentManagedFields, scaleManagedFields } from '../managed-fields/scale-fields.ts';
import { replicasPathsOf } from '../managed-fields/scale-paths.ts';
import { setManagedFields } from '../managed-fields/track.ts';
import type { Entry } from '../cache/entry.ts';
import type { Served } from '../registry/catalogue.ts';
import type { WriteContext } from '../registry/context.ts';
import { getObject } from '../registry/get.ts';
import type { Registry } from '../registry/registry.ts';
import { scaleOf, withScale } from '../registry/scale.ts';
import type { ScaleMapping } from '../registry/strategy.ts';
import { objectIn, prepareViews } from '../registry/view.ts';
import { updateObject } from '../registry/update.ts';
import { isApply, readApplied } from './applied.ts';
import type { Call, Result } from './call.ts';
import type { ObjectRequests } from './objects.ts';
import { writeParameters } from './parameters.ts';

const scaleKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };

/** The Scale after a request, from the one before, which carries its managedFields. */
type NextScale = (before: KubeObject) => KubeObject;

/** `scale` of everything that has replicas: read, replaced, patched, applied. */
export class ScaleRequests {
  readonly #objects: ObjectRequests;
  readonly #registry: Registry;

  constructor(objects: ObjectRequests) {
    this.#objects = objects;
    this.#registry = objects.registry;
  }

  async handle(call: Call, served: Served, namespace: string): Promise<Result> {
    const { verb, name } = call.info;
    if (verb === 'get') {
      const entry = await getObject(this.#registry, served, { namespace, name });
      return await this.#result(served, entry);
    }
    if (verb !== 'patch') return await this.#update(call, served, namespace);
    return isApply(call)
      ? await this.#apply(call, served, namespace)
      : await this.#patch(call, served, namespace);
  }

  async #update(call: Call, served: Served, namespace: string): Promise<Result> {
    const parameters = writeParameters(call.query, 'UpdateOptions');
    const context = this.#objects.context(call, served, namespace, parameters);
    const body = await this.#objects.requiredBody(call);
    const warn = (text: string): void => call.warn(text);
    const scale = this.#objects.decoder.decode(body, scaleKind, parameters.fieldValidation, warn);
    call.audit?.requestObject(scale);
    return await this.#write(
      context,
      (before) => this.#tracked(before, { ...scale, metadata: { ...scale.metadata } }, context),
      false,
    );
  }

  async #patch(call: Call, served: Served, namespace: string): Promise<Result> {
    const change = await this.#objects.patcher(call, scaleKind);
    const context = this.#objects.context(call, served, namespace, change.parameters);
    const warn = (text: string): void => call.warn(text);
    return await this.#write(
      context,
      (before) => {
        const patched = change.apply(before);
        const { fieldValidation } = change.parameters;
        const scale = this.#objects.decoder.decodePatched(patched, scaleKind, fieldValidation, warn);
        return this.#tracked(before, scale, context);
      },
      !change.namesVersion,
    );
  }

  async #apply(call: Call, served: Served, namespace: string): Promise<Result> {
    const applied = await readApplied(call, this.#objects.decoder);
    const { parameters, document } = applied;
    const context = this.#objects.context(call, served, namespace, parameters);
    const { scale: manager } = this.#registry.fieldManagers;
    return await this.#write(
      context,
      (before) => {
        const { fieldManager, force } = parameters;
        const { object, managedFields } = manager.apply(before, document, fieldManager, force);
        applied.judge();
        const scale = this.#objects.decoder.decodePatched(object, scaleKind, 'Ignore', () => {});
        setManagedFields(scale, managedFields);
        return scale;
      },
      document.metadata?.resourceVersion === undefined,
    );
  }

  #tracked(before: KubeObject, scale: KubeObject, context: WriteContext): KubeObject {
    const { scale: manager } = this.#registry.fieldManagers;
    setManagedFields(scale, manager.update(before, scale, context.fieldManager ?? ''));
    return scale;
  }

  async #write(context: WriteContext, next: NextScale, retryConflicts: boolean): Promise<Result> {
    const { served } = context;
    const paths = replicasPathsOf(served, this.#registry.catalogue);
    const { entry } = await updateObject(
      this.#registry,
      { ...context, fieldManager: undefined },
      (old) => {
        const { object: parent, mapping } = this.#scaled(served, old);
        const { managedFields } = parent.metadata;
        const before = scaleOf(parent, mapping, 'change') as unknown as KubeObject;
        setManagedFields(before, scaleManagedFields(managedFields, paths));
        const scale = next(before);
        const changed = withScale(parent, scale, mapping);
        const version = apiVersionOf(served.resource);
        const owned = parentManagedFields(managedFields, scale.metadata.managedFields, version, paths);
        setManagedFields(changed, owned);
        return changed;
      },
      { retryConflicts },
    );
    return await this.#result(served, entry);
  }

  async #result(served: Served, entry: Entry): Promise<Result> {
    await prepareViews([entry], this.#registry.open(served.resource).working(served.resource));
    const { object, mapping } = this.#scaled(served, entry);
    return { type: 'object', code: 200, object: scaleOf(object, mapping) };
  }

  /** The object that is scaled, and where its replicas stand. */
  #scaled({ resource }: Served, entry: Entry): { object: KubeObject; mapping: ScaleMapping | undefined } {
    const stored = this.#registry.open(resource);
    const object = objectIn(entry, stored.working(resource));
    return { object, mapping: stored.strategyOf(resource).scale };
  }
}
