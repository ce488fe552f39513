/** An image name that no registry would understand. */
export class InvalidImageName extends Error {
  constructor(image: string, why: string) {
    super(
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format${why}`,
    );
    this.name = 'InvalidImageName';
  }
}

const hostPart =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?';
const pathPart = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const grammar = new RegExp(
  `^(?:(${hostPart})/)?(${pathPart}(?:/${pathPart})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

export interface ImageReference {
  /** `docker.io` when none is written. */
  registry: string;
  /** With `library/` in front of a bare name of docker.io. */
  repository: string;
  tag: string;
  digest: string;
}

/** Parses an image name by the distribution project's grammar; throws {@link InvalidImageName}. */
export function parseReference(image: string): ImageReference {
  const parts = grammar.exec(image);
  if (!parts)
    throw new InvalidImageName(
      image,
      image.toLowerCase() === image ? '' : ': repository name must be lowercase',
    );
  let [, host, path] = parts as unknown as [string, string | undefined, string];
  // A first part without dot, port or "localhost" is part of the path.
  if (host !== undefined && !/[.:]/.test(host) && host !== 'localhost') {
    path = `${host}/${path}`;
    host = undefined;
  }
  const registry = host ?? 'docker.io';
  return {
    registry,
    repository: registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path,
    tag: parts[3] ?? '',
    digest: parts[4] ?? '',
  };
}

/** The name with `:latest` where it has neither tag nor digest (upstream: applyDefaultImageTag). */
export function withDefaultTag(image: string): string {
  const { tag, digest } = parseReference(image);
  return tag === '' && digest === '' ? `${image}:latest` : image;
}

export type PullPolicy = 'Always' | 'IfNotPresent' | 'Never';

/** A pod's policy, or upstream's default for the tag where the API has not filled it in (static pods). */
export function pullPolicyOf(container: { image?: string; imagePullPolicy?: string }): PullPolicy {
  const policy = container.imagePullPolicy;
  if (policy === 'Always' || policy === 'IfNotPresent' || policy === 'Never') return policy;
  const { tag, digest } = parseReference(container.image ?? '');
  return digest === '' && (tag === '' || tag === 'latest') ? 'Always' : 'IfNotPresent';
}
