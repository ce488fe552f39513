import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { DebianPackages, type Progress } from './debian.ts';
import { ImageError } from './import.ts';
import { imageArchive } from './oci.ts';
import { assembleRootfs, checkEntrypoint, isStripped } from './rootfs.ts';
import { parseImageSpec } from './spec.ts';
import { treeEntries, writeTar } from './tar.ts';

export interface BuiltImage {
  /** As pods name it, in full: `docker.io/library/web:1`. */
  reference: string;
  /** Digest of the configuration, which CRI calls the image's id. */
  imageId: string;
  /** The archive (OCI layout), to load here or elsewhere. */
  archivePath: string;
  sizeBytes: number;
  /** Debian packages in it, `name=version`. */
  packages: string[];
}

/** Where built archives and downloaded packages are kept. */
export const imageFolder = (context: NodeContext): string => join(context.paths.state, 'images');

/**
 * Makes an image from a specification (see `ImageSpec`) and Debian's packages, without docker or a registry.
 * Equal inputs give an equal image. The archive is written to `output`, by default under the node's state.
 * Throws `ImageError`.
 */
export async function buildImage(options: {
  context: NodeContext;
  /** Path of the specification. */
  specPath: string;
  output?: string | undefined;
  progress?: Progress | undefined;
  signal?: AbortSignal | undefined;
}): Promise<BuiltImage> {
  const progress = options.progress ?? (() => undefined);
  const spec = parseImageSpec(readSpec(options.specPath), options.specPath);
  const folder = imageFolder(options.context);
  mkdirSync(join(folder, 'built'), { recursive: true, mode: 0o755 });
  removeAbandoned(folder);
  const work = mkdtempSync(join(folder, 'work-'));
  try {
    const wanted = spec.packages;
    const packages =
      wanted.length === 0
        ? []
        : await new DebianPackages({
            cacheFolder: join(folder, 'debian'),
            progress,
            signal: options.signal,
          }).fetch(wanted, spec.without);
    progress(`assembling ${spec.reference} from ${packages.length} packages`);
    const rootfs = join(work, 'rootfs');
    mkdirSync(rootfs);
    await assembleRootfs({
      folder: rootfs,
      spec,
      specFolder: dirname(resolve(options.specPath)),
      packages,
      signal: options.signal,
    });
    checkEntrypoint(rootfs, spec);
    const layerFile = join(work, 'layer.tar');
    const layer = await writeTar(layerFile, layerEntries(rootfs));
    const { entries, imageId } = imageArchive({
      reference: spec.reference,
      config: spec.config,
      layers: [{ ...layer, content: { file: layerFile, sizeBytes: layer.sizeBytes } }],
    });
    const archivePath =
      options.output ?? join(folder, 'built', `${spec.reference.replace(/[^\w.-]+/g, '_')}.tar`);
    const partial = join(dirname(resolve(archivePath)), `.${process.pid}.partial.tar`);
    const { sizeBytes } = await writeTar(partial, entries);
    renameSync(partial, archivePath);
    return {
      reference: spec.reference,
      imageId,
      archivePath,
      sizeBytes,
      packages: packages.map(({ name, version }) => `${name}=${version}`),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const abandonedAfterMs = 24 * 3600_000;

/** Takes away what builds that were killed have left. */
function removeAbandoned(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.startsWith('work-') && statSync(path).mtimeMs < Date.now() - abandonedAfterMs) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

function readSpec(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ImageError(`${path}: the specification cannot be read: ${String(error)}`, error);
  }
}

/** Built without root, everything belongs to root all the same. */
function* layerEntries(rootfs: string): ReturnType<typeof treeEntries> {
  const isRoot = process.geteuid?.() === 0;
  for (const entry of treeEntries(rootfs, isStripped)) yield isRoot ? entry : { ...entry, uid: 0, gid: 0 };
}
