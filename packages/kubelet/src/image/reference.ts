import { ImageError } from './import.ts';

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^[\w][\w.-]{0,127}$/;

/**
 * The full name of an image as the runtime looks it up: `web` → `docker.io/library/web:latest`,
 * `example.org/web:2` stays (distribution/reference: normalize). Throws `ImageError` for what is no name.
 */
export function fullReference(text: string): string {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const hasHost = first.includes('.') || first.includes(':') || first === 'localhost';
  const host = hasHost ? first : 'docker.io';
  let rest = hasHost ? text.slice(slash + 1) : text;
  if (rest.includes('@'))
    throw new ImageError(`"${text}": a name to give cannot hold a digest; write NAME:TAG`);
  const colon = rest.lastIndexOf(':');
  const tag = colon < 0 ? 'latest' : rest.slice(colon + 1);
  if (colon >= 0) rest = rest.slice(0, colon);
  if (!tagPattern.test(tag))
    throw new ImageError(`"${text}": the tag "${tag}" is not 1 to 128 of A-Z a-z 0-9 _ . -`);
  if (!rest.split('/').every((part) => component.test(part))) {
    throw new ImageError(
      `"${text}": an image is named by lower-case words joined by . _ - and /, as in example.org/web:1`,
    );
  }
  const path = host === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  return `${host}/${path}:${tag}`;
}
