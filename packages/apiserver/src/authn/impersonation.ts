import { errors } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import { forbidden } from '../request/forbidden.ts';
import type { Attributes } from '../request/info.ts';
import type { Impersonate } from '../server/options.ts';

type Header = string | string[] | undefined;

const extraPrefix = 'impersonate-extra-';
const authenticated = 'system:authenticated';
const unauthenticated = 'system:unauthenticated';

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

function extraOf(headers: Readonly<Record<string, Header>>): Record<string, string[]> {
  const named = Object.entries(headers).filter(([header]) => header.startsWith(extraPrefix));
  return Object.fromEntries(
    named.map(([header, value]) => [extraKey(header.slice(extraPrefix.length)), all(value)]),
  );
}

/** Throws 403 unless `user` may impersonate this one thing. */
function authorize(
  authorizer: Authorizer,
  user: UserInfo,
  what: { group?: string; resource: string; subresource?: string; namespace?: string; name: string },
): void {
  const attributes: Attributes = {
    user,
    isResource: true,
    verb: 'impersonate',
    path: '',
    apiPrefix: '',
    group: '',
    version: 'v1',
    namespace: '',
    subresource: '',
    ...what,
  };
  const { verdict, reason } = authorizer.authorize(attributes);
  if (verdict !== 'allow') throw forbidden(attributes, reason);
}

/** Groups that were asked for, or those of a service account; then whether one is known at all. */
function groupsOf(name: string, given: readonly string[], accountNamespace: string | undefined): string[] {
  const groups =
    given.length === 0 && accountNamespace !== undefined
      ? ['system:serviceaccounts', `system:serviceaccounts:${accountNamespace}`]
      : [...given];
  const last = name === 'system:anonymous' ? unauthenticated : authenticated;
  const isSaid =
    groups.includes(unauthenticated) || (last === authenticated && groups.includes(authenticated));
  return isSaid ? groups : [...groups, last];
}

/**
 * `Impersonate-User`, `-Group`, `-Uid` and `-Extra-*` (upstream: endpoints/filters/impersonation). Each part is
 * authorized by itself against the verb `impersonate`; nothing of the real user's rights is kept.
 */
export const impersonate: Impersonate = (user, headers, authorizer) => {
  const name = first(headers['impersonate-user']);
  const groups = all(headers['impersonate-group']);
  const uid = first(headers['impersonate-uid']);
  const extra = extraOf(headers);
  if (name === '') {
    if (groups.length > 0 || uid !== '' || Object.keys(extra).length > 0)
      throw errors.badRequest(
        'requested impersonation of groups, a uid or extra without impersonating a user',
      );
    return user;
  }
  const [, accountNamespace, accountName] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? [];
  if (accountNamespace !== undefined && accountName !== undefined)
    authorize(authorizer, user, {
      resource: 'serviceaccounts',
      namespace: accountNamespace,
      name: accountName,
    });
  else authorize(authorizer, user, { resource: 'users', name });
  for (const group of groups) authorize(authorizer, user, { resource: 'groups', name: group });
  const inGroup = { group: 'authentication.k8s.io' };
  for (const [key, values] of Object.entries(extra))
    for (const value of values)
      authorize(authorizer, user, { ...inGroup, resource: 'userextras', subresource: key, name: value });
  if (uid !== '') authorize(authorizer, user, { ...inGroup, resource: 'uids', name: uid });
  return { name, groups: groupsOf(name, groups, accountNamespace), extra, ...(uid === '' ? {} : { uid }) };
};
