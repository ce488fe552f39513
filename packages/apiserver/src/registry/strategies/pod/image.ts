const repository =
  /^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
/** Longer repositories are no reference (distribution's RepositoryNameTotalLengthMax). */
const maxRepositoryLength = 255;
const tagForm = /^[\w][\w.-]{0,127}$/;

/**
 * The tag of an image reference: `latest` when it has neither tag nor digest, '' when it has only a digest or is
 * no reference at all (distribution's reference grammar; upstream: pkg/util/parsers).
 */
export function imageTag(reference: string): string {
  const at = reference.indexOf('@');
  const named = at === -1 ? reference : reference.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon === -1 ? '' : named.slice(colon + 1);
  const name = colon === -1 ? named : named.slice(0, colon);
  if (name.length > maxRepositoryLength || !repository.test(name)) return '';
  if (colon !== -1 && !tagForm.test(tag)) return '';
  if (tag === '' && at === -1) return 'latest';
  return tag;
}

/** `Always` for `latest`, since what it names changes; otherwise `IfNotPresent`. */
export const defaultPullPolicy = (reference: string): string =>
  imageTag(reference) === 'latest' ? 'Always' : 'IfNotPresent';
