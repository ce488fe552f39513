import { errors } from '@cloudless/kube/status';
import type { Impersonate } from '../server/options.ts';
import { impersonatedBy, type Wanted } from './impersonation-modes.ts';

type Header = string | string[] | undefined;
type Headers = Readonly<Record<string, Header>>;

const extraPrefix = 'impersonate-extra-';

const first = (value: Header): string => (Array.isArray(value) ? (value[0] ?? '') : (value ?? ''));
/** Every value of a header; Node joins repeated ones with a comma and a space. */
const all = (value: Header): string[] => (Array.isArray(value) ? value : (value?.split(', ') ?? []));

/** The key of an extra, %-decoded; kept as it is when it does not decode, as upstream does. */
function extraKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function extraOf(headers: Headers): Record<string, string[]> {
  const named = Object.entries(headers).filter(([header]) => header.startsWith(extraPrefix));
  return Object.fromEntries(
    named.map(([header, value]) => [extraKey(header.slice(extraPrefix.length)), all(value)]),
  );
}

/** As Go's `%#v` prints a user.DefaultInfo. */
function shown({ uid, groups, extra }: Wanted): string {
  const list = (values: readonly string[]): string =>
    `[]string{${values.map((value) => JSON.stringify(value)).join(', ')}}`;
  const entries = Object.entries(extra).map(([key, values]) => `${JSON.stringify(key)}:${list(values)}`);
  const map = 'map[string][]string';
  return `&user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:${groups.length === 0 ? '[]string(nil)' : list(groups)}, Extra:${entries.length === 0 ? `${map}(nil)` : `${map}{${entries.join(', ')}}`}}`;
}

/**
 * `Impersonate-User`, `-Group`, `-Uid` and `-Extra-*`. Each part is authorized by itself; nothing of the real user's
 * rights is kept.
 */
export const impersonate: Impersonate = (user, headers, authorizer, info) => {
  let asked = false;
  for (const name in headers) if (name.startsWith('impersonate-')) asked = true;
  if (!asked) return undefined;
  const wanted: Wanted = {
    name: first(headers['impersonate-user']),
    uid: first(headers['impersonate-uid']),
    groups: all(headers['impersonate-group']),
    extra: extraOf(headers),
  };
  if (wanted.name === '') {
    if (wanted.groups.length === 0 && wanted.uid === '' && Object.keys(wanted.extra).length === 0)
      return undefined;
    throw errors.badRequest(`requested ${shown(wanted)} without impersonating a user name`);
  }
  return impersonatedBy(authorizer, wanted, { ...info, user });
};
