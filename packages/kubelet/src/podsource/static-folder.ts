import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Pod } from '@cloudless/kube/types/core-v1';

export interface StaticFolderOptions {
  folder: string;
  nodeName: string;
  clock: Clock;
  log: Logger;
  /** Between looks that no change asked for; upstream's fileCheckFrequency. */
  checkMs: number;
  /** The whole set after every change; the first call comes before {@link watchStaticFolder} resolves. */
  onPods(pods: readonly Pod[]): void;
  /** A file that is no pod or has fields that no pod has, once for each of its contents. */
  onBadFile(path: string, why: string): void;
}

/** How long a writer is given to finish a file before it is read. */
const settleMs = 50;

/**
 * Static pods from the files of one folder (upstream: config/file_linux.go): dotfiles are ignored, folders not
 * entered, a bad file is reported and stops no other. A file that turns bad keeps the pod it last described.
 */
export async function watchStaticFolder(options: StaticFolderOptions): Promise<Running> {
  const state: FolderState = { files: new Map(), reported: new Map() };
  let timer: ClockTimer | undefined;
  let watcher: FSWatcher | undefined;
  let scanning: Promise<void> | undefined;
  let again = false;
  const closing = new AbortController();
  const closed = closing.signal;
  const schedule = (delayMs: number): void => {
    timer?.cancel();
    if (closed.aborted) return;
    timer = options.clock.setTimeout(() => void rescan(), delayMs);
  };
  const attach = (): void => {
    if (watcher || closed.aborted) return;
    try {
      watcher = watch(options.folder, () => schedule(settleMs));
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // Not there yet: the next look in its turn finds it.
      watcher = undefined;
    }
  };
  const rescan = async (): Promise<void> => {
    if (scanning) {
      again = true;
      return scanning;
    }
    scanning = (async () => {
      do {
        again = false;
        attach();
        if (!(await stat(options.folder).catch(() => undefined))) {
          watcher?.close();
          watcher = undefined;
        }
        await scan(options, state);
      } while (again && !closed.aborted);
    })();
    try {
      await scanning;
    } finally {
      scanning = undefined;
      schedule(options.checkMs);
    }
  };
  await rescan();
  return running(async () => {
    closing.abort();
    timer?.cancel();
    watcher?.close();
    await scanning;
  });
}

interface FolderState {
  files: Map<string, { text: string; pod: Pod | undefined }>;
  /** Path → what was said about it last. */
  reported: Map<string, string>;
}

async function scan(options: StaticFolderOptions, state: FolderState): Promise<void> {
  const seen = new Set<string>();
  let changed = state.files.size === 0;
  const names = await readdir(options.folder).catch(() => [] as string[]);
  for (const name of names.sort()) {
    if (name.startsWith('.')) continue;
    const path = join(options.folder, name);
    const text = await readRegular(path);
    if (text === undefined) continue;
    seen.add(path);
    const before = state.files.get(path);
    if (before?.text === text) continue;
    changed = true;
    state.files.set(path, { text, pod: (await parse(options, state, path, text)) ?? before?.pod });
  }
  for (const path of state.files.keys()) {
    if (seen.has(path)) continue;
    state.files.delete(path);
    state.reported.delete(path);
    changed = true;
  }
  if (changed) options.onPods(distinct(options, state));
}

async function readRegular(path: string): Promise<string | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) return undefined;
  return readFile(path, 'utf8').catch(() => undefined);
}

async function parse(
  options: StaticFolderOptions,
  state: FolderState,
  path: string,
  text: string,
): Promise<Pod | undefined> {
  // Knows every field of a pod, whose loading would hold up the start of a node without static pods.
  const { parseStaticPod } = await import('./static-pod.ts');
  let unknown: readonly string[] = [];
  try {
    const pod = parseStaticPod({
      text,
      path,
      nodeName: options.nodeName,
      seenAtMs: options.clock.nowMs(),
      onUnknown: (fields) => (unknown = fields),
    });
    if (unknown.length === 0) state.reported.delete(path);
    else report(options, state, path, `${unknown.join(', ')}: left out`);
    return pod;
  } catch (error) {
    report(options, state, path, (error as Error).message);
    return undefined;
  }
}

function report(options: StaticFolderOptions, state: FolderState, path: string, why: string): void {
  if (state.reported.get(path) === why) return;
  state.reported.set(path, why);
  options.log.error({ path, reason: why }, 'static pod file with a fault');
  options.onBadFile(path, why);
}

/** The pods of all files; of two with one name the first file's stays. */
function distinct(options: StaticFolderOptions, state: FolderState): Pod[] {
  const byName = new Map<string, { pod: Pod; path: string }>();
  for (const [path, { pod }] of [...state.files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!pod) continue;
    const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const first = byName.get(name);
    if (first) report(options, state, path, `its pod ${name} is already described by ${first.path}`);
    else byName.set(name, { pod, path });
  }
  return [...byName.values()].map(({ pod }) => pod);
}
