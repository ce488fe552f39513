import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { parseApiVersion, schemaOf } from '@cloudless/kube/schema/schema';
import { zeroStruct } from '@cloudless/kube/schema/zero';
import type { TypedObject } from '@cloudless/kube/structured-merge/updater';
import type { Catalogue, Served } from '../registry/catalogue.ts';
import { convert } from '../registry/conversion.ts';
import { cloneJson, deepFreeze, type VersionConverter } from '../storage/codec.ts';
import { FieldManager } from './field-manager.ts';
import { typeOfKind, typeOfServed } from './merge-types.ts';
import { resetFilter } from './reset-fields.ts';

/** As Go prints a kind: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`. */
const shownKind = (resource: { group: string; version: string; kind: string }): string =>
  `${resource.group}/${resource.version}, Kind=${resource.kind}`;

/** The field managers of everything that is served, made when first asked for. */
export class FieldManagers {
  readonly #catalogue: Catalogue;
  readonly #now: () => string;
  readonly #versionsOf: (resource: Resource) => VersionConverter | undefined;
  /** A resource that is served anew (a changed definition) is another key. */
  readonly #managers = new WeakMap<Served, Map<string, FieldManager>>();
  #scale: FieldManager | undefined;

  /** `versionsOf`: what converts the objects of custom kinds. */
  constructor(
    catalogue: Catalogue,
    now: () => string,
    versionsOf: (resource: Resource) => VersionConverter | undefined = () => undefined,
  ) {
    this.#catalogue = catalogue;
    this.#now = now;
    this.#versionsOf = versionsOf;
  }

  of(served: Served, subresource: string): FieldManager {
    let bySubresource = this.#managers.get(served);
    if (!bySubresource) this.#managers.set(served, (bySubresource = new Map()));
    let manager = bySubresource.get(subresource);
    if (!manager) bySubresource.set(subresource, (manager = this.#make(served, subresource)));
    return manager;
  }

  /** Of Scale objects, whatever they scale. */
  get scale(): FieldManager {
    const resource = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    return (this.#scale ??= new FieldManager({
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      shownKind: shownKind(resource),
      subresource: 'scale',
      type: typeOfKind(resource),
      empty: emptyOf(resource),
      convert: (object, version) => (version === object.version ? object : undefined),
      filterOf: () => undefined,
      now: this.#now,
    }));
  }

  #make(served: Served, subresource: string): FieldManager {
    const { resource } = served;
    const apiVersion = apiVersionOf(resource);
    const filter = resetFilter(served, subresource);
    return new FieldManager({
      apiVersion,
      kind: resource.kind,
      shownKind: shownKind(resource),
      subresource,
      type: typeOfServed(served),
      empty: emptyOf(resource),
      convert: (object, version) => this.#convert(served, object, version),
      // Upstream lists the same fields for every version.
      filterOf: () => filter,
      now: this.#now,
    });
  }

  #convert(served: Served, object: TypedObject, version: string): TypedObject | undefined {
    if (version === object.version) return object;
    const { group: own, kind } = served.resource;
    // Upstream converts by way of the group's own hub: events.k8s.io has none.
    if (own !== served.storage.group) return undefined;
    const at = (apiVersion: string): Served | undefined => {
      const { group, version: name } = parseApiVersion(apiVersion);
      return this.#catalogue.byKind(group, name, kind);
    };
    const from = at(object.version);
    const to = at(version);
    if (!from || !to) return undefined;
    const versions = this.#versionsOf(served.resource);
    if (versions?.convertAll) {
      const value = versions.convert(cloneJson(object.value as KubeObject), from.resource, to.resource);
      return { version, type: typeOfServed(to), value };
    }
    const value = through(
      [from.resource, served.storage, to.resource],
      cloneJson(object.value as KubeObject),
    );
    return { version, type: typeOfServed(to), value };
  }
}

/** Converts along a way of versions. */
function through(way: readonly Resource[], object: KubeObject): KubeObject {
  let converted = object;
  for (let i = 1; i < way.length; i++) {
    converted = convert(converted, way[i - 1] as Resource, way[i] as Resource);
  }
  return converted;
}

function emptyOf(resource: { group: string; version: string; kind: string }): KubeObject {
  const schema = schemaOf(resource);
  const { group, version, kind } = resource;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  return deepFreeze({
    ...(schema ? zeroStruct(schema) : {}),
    apiVersion,
    kind,
    metadata: {},
  });
}
