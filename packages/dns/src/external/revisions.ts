import type { Informer } from '@cloudless/kube/informer/informer';
import type { KubeObject } from '@cloudless/kube/object';
import { compareVersions, type Revisions } from './serial.ts';

/**
 * The state of the cluster that a replica's content is made of: for each resource the version of the last change, and up to
 * where it is known. Between the two nothing happened, so the state at either is the same.
 */
export class RevisionTracker {
  readonly #tracked = new Map<string, { informer: Informer<KubeObject>; own: string }>();

  /** From now on `informer` counts, under `name`; objects that `counts` denies never reach any zone's content. */
  track(
    name: string,
    informer: Informer<KubeObject>,
    counts: (object: KubeObject) => boolean = () => true,
  ): void {
    const entry = { informer, own: '' };
    const changed = (object: KubeObject, old = object): void => {
      const { resourceVersion = '' } = object.metadata;
      if (!counts(object) && !counts(old)) return;
      if (entry.own !== '' && compareVersions(resourceVersion, entry.own) > 0) entry.own = resourceVersion;
    };
    informer.addHandler({
      add: (object) => changed(object),
      update: changed,
      delete: (object) => {
        if (!counts(object)) return;
        // The deletion's own version is newer than any change; an older one means that a list found the object gone, and
        // the list's version is the informer's.
        if (compareVersions(object.metadata.resourceVersion ?? '', entry.own) <= 0) entry.own = '';
        else changed(object);
      },
    });
    this.#tracked.set(name, entry);
  }

  /** `informer` no longer counts; another one of that name does. */
  forget(name: string, informer: Informer<KubeObject>): void {
    if (this.#tracked.get(name)?.informer === informer) this.#tracked.delete(name);
  }

  /** Versions of the last changes. */
  own(): Revisions {
    const own: Record<string, string> = {};
    for (const [name, entry] of this.#tracked) {
      if (entry.own === '') entry.own = entry.informer.resourceVersion;
      own[name] = entry.own;
    }
    return own;
  }

  /** Up to where each resource is known. */
  seen(): Revisions {
    return Object.fromEntries(
      [...this.#tracked].map(([name, { informer }]) => [name, informer.resourceVersion]),
    );
  }
}
