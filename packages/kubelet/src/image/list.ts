import type { CriRuntime } from '../cri/runtime.ts';

export interface ListedImage {
  /** References with tag, sorted; empty for an image that lost its name. */
  references: string[];
  id: string;
  sizeBytes: number;
}

/** The images that pods of this node can use without a pull, by name. */
export async function listImages(cri: CriRuntime, signal?: AbortSignal): Promise<ListedImage[]> {
  const { images } = await cri.listImages({}, { signal });
  return images
    .map((image) => ({ references: image.repoTags.toSorted(), id: image.id, sizeBytes: Number(image.size) }))
    .sort((a, b) => ((a.references[0] ?? a.id) < (b.references[0] ?? b.id) ? -1 : 1));
}
