import { differenceOf, isSameContent } from './difference.ts';
import { zoneImage, zoneImageInSlices } from './image.ts';
import { parentOf } from '../wire/name.ts';
import { isSerialHigher } from './serial.ts';
import type { Zone, ZoneDifference } from './zone.ts';
import type { ServedZone, SigningPolicy, ZoneChange, Zones } from './zones.ts';

/** A zone as serving threads get it. */
export interface ZoneSnapshot {
  /** For `openImage`; never changed once it is handed out. */
  readonly image: SharedArrayBuffer;
  readonly signing: SigningPolicy | undefined;
  /** Answer SERVFAIL: the zone's primary was silent for too long. */
  readonly isExpired: boolean;
}

/** Called with every snapshot in force when it is added, then with each new one; undefined: the zone is gone. */
export type SnapshotListener = (origin: string, snapshot: ZoneSnapshot | undefined) => void;

/** Differences kept for IXFR: steps, and records in all of them; a secondary that is further behind gets the zone whole. */
const maxHistorySteps = 1000;
const maxHistoryRecords = 100_000;

/** Zones up to this size become an image at once (about 2 ms); larger ones in slices, so that the thread stays free. */
const maxRecordsAtOnce = 2000;

/** A zone's serial would go back, or stay with other content: secondaries would never see it. */
export class SerialError extends Error {
  override readonly name = 'SerialError';
}

interface Entry {
  served: ServedZone;
  /** Of `told`. */
  snapshot: ZoneSnapshot | undefined;
  /** Ends the image that is under way. */
  building: AbortController | undefined;
  /** The version that serving threads and listeners have. */
  told: ServedZone | undefined;
}

/**
 * The zones of this process. Small zones are handed to the serving threads before `publish` returns; of large ones the
 * image is made in slices of a few milliseconds, and of the versions that come meanwhile only the last one gets an image
 * after it: {@link ZoneRegistry.settled} tells when all that was published is served.
 */
export class ZoneRegistry implements Zones {
  readonly #entries = new Map<string, Entry>();
  readonly #all = new Map<string, ServedZone>();
  readonly #changeListeners = new Set<(change: ZoneChange) => void>();
  readonly #snapshotListeners = new Set<SnapshotListener>();
  readonly #underWay = new Set<Promise<void>>();

  get all(): ReadonlyMap<string, ServedZone> {
    return this.#all;
  }

  find(name: string): ServedZone | undefined {
    for (let at: string | undefined = name; at !== undefined; at = parentOf(at)) {
      const found = this.#all.get(at);
      if (found) return found;
    }
    return undefined;
  }

  publish(zone: Zone, options: Parameters<Zones['publish']>[1] = {}): void {
    const entry = this.#entries.get(zone.origin);
    const previous = entry?.served;
    const served: ServedZone = {
      zone,
      signing: options.signing,
      role: options.role ?? 'primary',
      isExpired: options.isExpired ?? false,
      history: previous ? historyWith(previous, zone) : [],
    };
    const kept: Entry = entry ?? { served, snapshot: undefined, building: undefined, told: undefined };
    kept.served = served;
    this.#entries.set(zone.origin, kept);
    this.#all.set(zone.origin, served);
    this.#handOut(kept);
  }

  withdraw(origin: string): void {
    const entry = this.#entries.get(origin);
    if (!entry) return;
    entry.building?.abort();
    this.#entries.delete(origin);
    this.#all.delete(origin);
    for (const listener of this.#snapshotListeners) listener(origin, undefined);
    if (entry.told) this.#tell({ origin, previous: entry.told, current: undefined });
  }

  onChange(listener: (change: ZoneChange) => void): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** For serving threads: tells what is in force now, then every change. Returns the function that ends it. */
  onSnapshot(listener: SnapshotListener): () => void {
    for (const [origin, { snapshot }] of this.#entries) if (snapshot) listener(origin, snapshot);
    this.#snapshotListeners.add(listener);
    return () => this.#snapshotListeners.delete(listener);
  }

  /** Resolves once every version published so far, or a later one, was handed to the serving threads. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Makes the image, or takes the one that is there, and hands it to the serving threads; then tells the listeners. */
  #handOut(entry: Entry): void {
    // The image under way is finished first, or a zone that changes faster than images are made would never be served.
    if (entry.building) return;
    const { served } = entry;
    const { zone } = served;
    if (entry.snapshot && entry.told?.zone === zone)
      return this.#handedOut(entry, served, entry.snapshot.image);
    if (zone.recordCount <= maxRecordsAtOnce) return this.#handedOut(entry, served, zoneImage(zone));
    const building = (entry.building = new AbortController());
    const work = zoneImageInSlices(zone, building.signal)
      .then((image) => {
        if (building.signal.aborted || image === undefined) return;
        entry.building = undefined;
        this.#handedOut(entry, served, image);
        if (entry.served !== served && this.#entries.get(zone.origin) === entry) this.#handOut(entry);
      })
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  #handedOut(entry: Entry, served: ServedZone, image: SharedArrayBuffer): void {
    entry.snapshot = { image, signing: served.signing, isExpired: served.isExpired };
    for (const listener of this.#snapshotListeners) listener(served.zone.origin, entry.snapshot);
    const previous = entry.told;
    entry.told = served;
    this.#tell({ origin: served.zone.origin, previous, current: served });
  }

  #tell(change: ZoneChange): void {
    for (const listener of this.#changeListeners) listener(change);
  }
}

/** The history with the step to `zone` behind it. Throws {@link SerialError}. */
function historyWith(previous: ServedZone, zone: Zone): readonly ZoneDifference[] {
  const from = previous.zone;
  if (from === zone) return previous.history;
  const difference = differenceOf(from, zone);
  if (zone.serial === from.serial && isSameContent(from, zone, difference)) return previous.history;
  if (!isSerialHigher(zone.serial, from.serial))
    throw new SerialError(
      `zone ${zone.origin}. has other content under serial ${zone.serial}, which is not higher than ${from.serial}: raise it`,
    );
  const history = [...previous.history, difference];
  let steps = 0;
  let records = 0;
  for (let i = history.length - 1; i >= 0 && steps < maxHistorySteps; i--) {
    const { removed, added } = history[i] as ZoneDifference;
    records += removed.length + added.length + 2;
    if (records > maxHistoryRecords) break;
    steps += 1;
  }
  return history.slice(history.length - steps);
}
