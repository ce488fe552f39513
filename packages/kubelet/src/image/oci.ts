import { createHash } from 'node:crypto';
import type { TarEntry } from './tar.ts';

/** What runs in a container of the image (OCI image-spec, config.md). */
export interface ImageConfig {
  entrypoint?: string[] | undefined;
  cmd?: string[] | undefined;
  env?: Record<string, string> | undefined;
  user?: string | undefined;
  workdir?: string | undefined;
  /** `80/tcp`, … */
  ports?: string[] | undefined;
  stopSignal?: string | undefined;
  labels?: Record<string, string> | undefined;
}

/** One layer: an uncompressed tar in memory or on disk. */
export interface ImageLayer {
  digest: string;
  sizeBytes: number;
  content: Buffer | { file: string; sizeBytes: number };
}

export const layerOf = (content: Buffer): ImageLayer => ({
  digest: digestOf(content),
  sizeBytes: content.length,
  content,
});

export const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

/** OCI's name of an architecture, of this machine by default. */
export const imageArchitecture = (architecture: NodeJS.Architecture = process.arch): string =>
  architectures[architecture] ?? architecture;

const media = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};

function configBlob(config: ImageConfig, layers: readonly ImageLayer[], architecture: string): Buffer {
  const ports = config.ports ?? [];
  return json({
    architecture,
    os: 'linux',
    config: {
      ...(config.user ? { User: config.user } : {}),
      ...(ports.length > 0 ? { ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])) } : {}),
      Env: Object.entries(config.env ?? {}).map(([name, value]) => `${name}=${value}`),
      ...(config.entrypoint ? { Entrypoint: config.entrypoint } : {}),
      ...(config.cmd ? { Cmd: config.cmd } : {}),
      ...(config.workdir ? { WorkingDir: config.workdir } : {}),
      ...(config.stopSignal ? { StopSignal: config.stopSignal } : {}),
      ...(config.labels ? { Labels: config.labels } : {}),
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  });
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/**
 * The members of an OCI image archive (image-spec, image-layout.md), which `ctr images import` takes. The name is
 * given by containerd's annotation; layers are not compressed, so that they import quickly.
 */
export function imageArchive(image: {
  reference: string;
  config: ImageConfig;
  layers: readonly ImageLayer[];
  architecture?: string | undefined;
}): { entries: TarEntry[]; imageId: string } {
  const architecture = image.architecture ?? imageArchitecture();
  const config = configBlob(image.config, image.layers, architecture);
  const manifest = json({
    schemaVersion: 2,
    mediaType: media.manifest,
    config: { mediaType: media.config, digest: digestOf(config), size: config.length },
    layers: image.layers.map((layer) => ({
      mediaType: media.layer,
      digest: layer.digest,
      size: layer.sizeBytes,
    })),
  });
  const index = json({
    schemaVersion: 2,
    mediaType: media.index,
    manifests: [
      {
        mediaType: media.manifest,
        digest: digestOf(manifest),
        size: manifest.length,
        platform: { architecture, os: 'linux' },
        annotations: { 'io.containerd.image.name': image.reference },
      },
    ],
  });
  const file = (path: string, content: TarEntry['content']): TarEntry => ({
    path,
    type: 'file',
    mode: 0o644,
    content,
  });
  const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const folders = ['blobs', 'blobs/sha256'].map((path): TarEntry => ({
    path,
    type: 'directory',
    mode: 0o755,
  }));
  const layers = new Map(image.layers.map((layer) => [layer.digest, layer]));
  return {
    imageId: digestOf(config),
    entries: [
      file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
      file('index.json', index),
      ...folders,
      file(blobPath(digestOf(manifest)), manifest),
      file(blobPath(digestOf(config)), config),
      ...[...layers.values()].map((layer) => file(blobPath(layer.digest), layer.content)),
    ],
  };
}
