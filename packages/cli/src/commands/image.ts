import { resolve } from 'node:path';
import { logger } from '@cloudless/kube/logger';
import { nodeContext, type NodeContext } from '@cloudless/kube/node/context';
import { connectCri } from '@cloudless/kubelet/cri/runtime';
import { buildImage } from '@cloudless/kubelet/image/build';
import { importImage } from '@cloudless/kubelet/image/import';
import { listImages } from '@cloudless/kubelet/image/list';
import { contextOf, loadConfig } from '../cluster-config.ts';
import { UsageError } from '../options.ts';
import { Progress } from '../progress.ts';

function contextAt(root: string): NodeContext {
  const config = loadConfig(resolve(root));
  return config ? contextOf(config) : nodeContext({ root: resolve(root), nodeName: 'any' });
}

const megabytes = (bytes: number | bigint): string => `${(Number(bytes) / 1e6).toFixed(1)} MB`;

/** `cloudless image build FILE…`. */
export async function build(
  files: string[],
  raw: { root: string; load: boolean; output?: string },
): Promise<void> {
  if (raw.output !== undefined && files.length > 1) throw new UsageError('--output goes with one file only');
  const context = contextAt(raw.root);
  const progress = new Progress();
  for (const file of files) {
    progress.step(`build ${file}`);
    const image = await buildImage({
      context,
      specPath: resolve(file),
      output: raw.output === undefined ? undefined : resolve(raw.output),
      progress: (text) => progress.step(text),
    });
    progress.done();
    if (raw.load) {
      progress.step(`load ${image.reference}`);
      await importImage({ socketPath: context.paths.containerdSocket, archive: image.archivePath });
      progress.done();
    }
    process.stdout.write(`${image.reference} ${megabytes(image.sizeBytes)} ${image.archivePath}\n`);
  }
}

/** `cloudless image load ARCHIVE…`. */
export async function load(files: string[], raw: { root: string }): Promise<void> {
  const context = contextAt(raw.root);
  for (const file of files)
    process.stdout.write(
      `${(await importImage({ socketPath: context.paths.containerdSocket, archive: resolve(file) })).join('\n')}\n`,
    );
}

/** `cloudless image list`. */
export async function list(raw: { root: string }): Promise<void> {
  const context = contextAt(raw.root);
  const cri = connectCri({ socketPath: context.paths.containerdSocket, log: logger('image') });
  try {
    for (const image of await listImages(cri, AbortSignal.timeout(10_000)))
      process.stdout.write(
        `${JSON.stringify(image, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))}\n`,
      );
  } finally {
    cri.close();
  }
}
