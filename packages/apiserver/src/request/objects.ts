import type { KubeObject } from '@cloudless/kube/object';
import { errors, StatusError } from '@cloudless/kube/status';
import type { DeleteOptions, Status } from '@cloudless/kube/types/meta-v1';
import type { Served } from '../registry/catalogue.ts';
import type { WriteContext } from '../registry/context.ts';
import { convert } from '../registry/conversion.ts';
import { createObject } from '../registry/create.ts';
import { deleteCollection, deleteObject } from '../registry/delete.ts';
import type { Registry } from '../registry/registry.ts';
import { returnsDeletedObject } from '../registry/rules.ts';
import { updateObject } from '../registry/update.ts';
import { cloneJson } from '../storage/codec.ts';
import type { ApplyPatch, Body, BodyDecoder, BodyKind, FieldValidation } from './body.ts';
import type { Call, Result } from './call.ts';
import { deleteOptionsOf, listParameters, type WriteParameters, writeParameters } from './parameters.ts';
import { managerOfUserAgent } from '../managed-fields/identity.ts';
import { setManagedFields } from '../managed-fields/track.ts';
import { applyMediaType, isApply, readApplied } from './applied.ts';
import { objectIn } from '../registry/view.ts';

const patchTypes: ReadonlyMap<string, 'json' | 'merge' | 'strategic'> = new Map(
  Object.entries<'json' | 'merge' | 'strategic'>({
    'application/json-patch+json': 'json',
    'application/merge-patch+json': 'merge',
    'application/strategic-merge-patch+json': 'strategic',
  }),
);

/** Custom resources have no types that a strategic merge could go by. */
const unsupportedPatch = (): StatusError => {
  const known = [...patchTypes.keys()].filter((name) => !name.includes('strategic'));
  const accepted = [...known, applyMediaType];
  return errors.unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
};

/** Kinds that are kept but do nothing yet, with what their creator is told. */
const inertKinds: ReadonlyMap<string, string> = new Map(
  Object.entries<string>({
    APIService: 'aggregated APIs are not served yet: this registration is stored and has no effect',
  }),
);

/** Writes to stored objects: bodies and patches decoded, defaulted and converted on their way to the registry. */
export class ObjectRequests {
  readonly registry: Registry;
  readonly decoder: BodyDecoder;
  readonly #patch: ApplyPatch;

  constructor(parts: { registry: Registry; decoder: BodyDecoder; patch: ApplyPatch }) {
    this.registry = parts.registry;
    this.decoder = parts.decoder;
    this.#patch = parts.patch;
  }

  context(call: Call, served: Served, namespace: string, parameters: WriteParameters): WriteContext {
    if (served.resource.namespaced && namespace === '') {
      throw errors.badRequest('an empty namespace may not be set during creation');
    }
    return {
      user: call.user,
      served,
      verb: call.info.verb,
      subresource: call.info.subresource,
      namespace,
      name: call.info.name,
      options: parameters.options,
      dryRun: parameters.dryRun,
      fieldManager: parameters.fieldManager || managerOfUserAgent(call.userAgent),
      warn: (text) => call.warn(text),
      annotate: call.audit?.annotate,
    };
  }

  /** Takes down the object that a request brings, in the version it came in. */
  #audited(call: Call, { served }: WriteContext, object: KubeObject): KubeObject {
    const { audit } = call;
    if (!audit) return object;
    const working = this.registry.open(served.resource).working(served.resource);
    audit.requestObject(audit.wantsRequest ? convert(cloneJson(object), working, served.resource) : object);
    return object;
  }

  /** Decoded, defaulted, in the storage version; a fresh object at every call. */
  #objectOf(
    body: Body,
    context: WriteContext,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): KubeObject {
    const { resource } = context.served;
    return this.#settle(this.decoder.decode(body, resource, validation, warn), context);
  }

  /** `beforeDefaults`, defaults of the version at hand, conversion: what follows decoding for every object. */
  #settle(object: KubeObject, context: WriteContext): KubeObject {
    const { registry } = this;
    const { resource } = context.served;
    const stored = registry.open(resource);
    // Decoded by its schema, which sets the defaults: a custom object passes in the version it came in.
    if (stored.custom) return object;
    stored.strategyOf(resource).beforeDefaults?.(registry.strategyContext(context), object);
    const sameVersion =
      resource.group === stored.resource.group && resource.version === stored.resource.version;
    if (!sameVersion) registry.parts.defaultsOf(resource)(object);
    const converted = convert(object, resource, stored.resource);
    registry.parts.defaultsOf(stored.resource)(converted);
    return converted;
  }

  #loaded({ resource }: Served): Promise<void> | undefined {
    return this.registry.open(resource).strategyOf(resource).load?.();
  }

  async requiredBody(call: Call): Promise<Body> {
    const body = await call.body();
    return body ?? { type: 'bytes', bytes: new Uint8Array(), mediaType: call.patchMediaType ?? '' };
  }

  async create(call: Call, served: Served, namespace: string): Promise<Result> {
    const parameters = writeParameters(call.query, 'CreateOptions');
    const context = this.context(call, served, namespace, parameters);
    await this.#loaded(served);
    const body = await this.requiredBody(call);
    if (this.registry.customKind(served.resource)?.terminating) {
      const why = 'create not allowed while custom resource definition is terminating';
      throw errors.forbidden(served.resource, call.info.name, why);
    }
    const inert = inertKinds.get(served.resource.kind);
    if (inert) call.warn(inert);
    let warn = (text: string): void => call.warn(text);
    const entry = await createObject(this.registry, context, () => {
      const object = this.#objectOf(body, context, parameters.fieldValidation, warn);
      warn = () => {};
      return this.#audited(call, context, object);
    });
    return { type: 'entry', code: 201, served, entry };
  }

  /** `mayCreate` throws 403 when a PUT would create the object and the user may only update it. */
  async update(
    call: Call,
    served: Served,
    namespace: string,
    mayCreate: () => void = () => {},
  ): Promise<Result> {
    const parameters = writeParameters(call.query, 'UpdateOptions');
    const context = this.context(call, served, namespace, parameters);
    await this.#loaded(served);
    const body = await this.requiredBody(call);
    let warn = (text: string): void => call.warn(text);
    const decode = (): KubeObject => {
      const object = this.#objectOf(body, context, parameters.fieldValidation, warn);
      warn = () => {};
      checkName(object, context.name);
      return object;
    };
    // Before the stored object is read, so that a broken body is what is reported.
    let first: KubeObject | undefined = this.#audited(call, context, decode());
    const next = (): KubeObject => {
      const object = first ?? decode();
      first = undefined;
      return object;
    };
    const creating = (): KubeObject => {
      mayCreate();
      return next();
    };
    const create = call.info.subresource === '' ? { create: creating } : {};
    const { entry, created } = await updateObject(this.registry, context, next, create);
    return { type: 'entry', code: created ? 201 : 200, served, entry };
  }

  /** `mayCreate` throws 403 when an apply would create the object and the user may only patch it. */
  async patch(
    call: Call,
    served: Served,
    namespace: string,
    mayCreate: () => void = () => {},
  ): Promise<Result> {
    await this.#loaded(served);
    if (isApply(call)) return await this.#apply(call, served, namespace, mayCreate);
    const change = await this.patcher(call, served.resource);
    const context = this.context(call, served, namespace, change.parameters);
    let warn = (text: string): void => call.warn(text);
    const { entry } = await updateObject(
      this.registry,
      context,
      (old) => {
        const current = objectIn(old, served.resource);
        const { fieldValidation } = change.parameters;
        const patched = this.decoder.decodePatched(
          change.apply(current),
          served.resource,
          fieldValidation,
          warn,
        );
        warn = () => {};
        checkName(patched, context.name);
        return this.#settle(patched, context);
      },
      // A patch that names no resourceVersion means the newest object, whichever that is.
      { isPatch: true, retryConflicts: !change.namesVersion },
    );
    return { type: 'entry', code: 200, served, entry };
  }

  async #apply(call: Call, served: Served, namespace: string, mayCreate: () => void): Promise<Result> {
    const applied = await readApplied(call, this.decoder);
    const { parameters } = applied;
    const context = { ...this.context(call, served, namespace, parameters), fieldManager: undefined };
    const manager = this.registry.fieldManagers.of(served, context.subresource);
    const merged = (live: KubeObject | undefined): KubeObject => {
      const { object, managedFields } = manager.apply(
        live,
        applied.document,
        parameters.fieldManager,
        parameters.force,
      );
      applied.judge();
      const decoded = this.decoder.decodePatched(object, served.resource, 'Ignore', () => {});
      if (!decoded.metadata.name) {
        throw errors.badRequest(
          `the name of the object (${context.name} based on URL) was undeterminable: name must be provided`,
        );
      }
      checkName(decoded, context.name);
      const settled = this.#settle(decoded, context);
      setManagedFields(settled, managedFields);
      return settled;
    };
    const create = (): KubeObject => {
      mayCreate();
      const object = merged(undefined);
      const { uid } = applied.document.metadata ?? {};
      if (uid) {
        const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
        throw errors.conflict(served.resource, context.name, why);
      }
      return object;
    };
    const { entry, created } = await updateObject(
      this.registry,
      context,
      (old) => merged(objectIn(old, served.resource)),
      {
        ...(context.subresource === '' ? { create, forceCreate: true } : {}),
        isPatch: true,
        retryConflicts: applied.document.metadata?.resourceVersion === undefined,
      },
    );
    return { type: 'entry', code: created ? 201 : 200, served, entry };
  }

  /** Reads a PATCH's type, parameters and document; throws 415 for types that are not served. */
  async patcher(call: Call, kind: BodyKind) {
    const mediaType = call.patchMediaType ?? '';
    const type = patchTypes.get(mediaType);
    const isCustom = this.registry.catalogue.byKind(kind.group, kind.version, kind.kind)?.custom;
    if (isCustom && (!type || type === 'strategic')) throw unsupportedPatch();
    if (!type) {
      throw new StatusError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
    }
    const parameters = writeParameters(call.query, 'PatchOptions', type);
    const document = this.decoder.parsePatch(await this.requiredBody(call));
    call.audit?.requestPatch(document);
    const apply = (object: KubeObject): unknown => this.#patch(type, object, document, kind);
    const metadata = (document as { metadata?: { resourceVersion?: unknown } } | null)?.metadata;
    return { parameters, apply, namesVersion: metadata?.resourceVersion !== undefined };
  }

  async #deleteOptions(call: Call): Promise<DeleteOptions> {
    const body = await call.body();
    if (!body || (body.type === 'bytes' && body.bytes.length === 0)) return deleteOptionsOf(call.query);
    const kind = { group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' };
    const options = this.decoder.decode(body, kind, 'Ignore', () => {});
    call.audit?.requestObject(options);
    return options;
  }

  async delete(call: Call, served: Served, namespace: string): Promise<Result> {
    const options = await this.#deleteOptions(call);
    const dryRun = (options.dryRun?.length ?? 0) > 0;
    const parameters = {
      ...writeParameters(new URLSearchParams(), 'UpdateOptions'),
      dryRun,
      options: { ...options },
    };
    const context = this.context(call, served, namespace, parameters);
    const { gone, entry } = await deleteObject(this.registry, context, options);
    if (!gone || returnsDeletedObject(served.resource)) return { type: 'entry', code: 200, served, entry };
    const { group, plural: kind } = served.resource;
    const uid = entry.object.metadata.uid as string;
    const details = { name: context.name, ...(group === '' ? {} : { group }), kind, uid };
    const object: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
    return { type: 'object', code: 200, object };
  }

  async deleteCollection(call: Call, served: Served, namespace: string): Promise<Result> {
    const options = await this.#deleteOptions(call);
    const dryRun = (options.dryRun?.length ?? 0) > 0;
    const list = { ...listParameters(call.query, namespace), sendInitialEvents: undefined };
    const context: WriteContext = {
      user: call.user,
      served,
      subresource: '',
      namespace,
      name: '',
      options: { ...options },
      dryRun,
      fieldManager: undefined,
      warn: (text) => call.warn(text),
      annotate: call.audit?.annotate,
    };
    return {
      type: 'list',
      served,
      list: await deleteCollection(this.registry, context, list, options),
    };
  }

  /** Admission of a body that is not itself stored. */
  async admitted(context: WriteContext, object: KubeObject): Promise<void> {
    const request = this.registry.admissionRequest(context, 'CREATE', {
      object,
      old: undefined,
      transaction: undefined,
    });
    await this.registry.admit(request);
    await this.registry.validate(request);
  }
}

/** The name in the body must be that of the URL. */
function checkName(object: KubeObject, name: string): void {
  const given = object.metadata.name;
  if (given === undefined || given === '') {
    throw errors.badRequest(
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (given !== name) {
    throw errors.badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
  }
}
