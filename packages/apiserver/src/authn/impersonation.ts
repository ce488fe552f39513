import { errors } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Attributes } from '../request/info.ts';
import type { Impersonate } from '../server/options.ts';

const first = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;
const all = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : Array.isArray(value) ? value : value.split(/,\s*/);

/**
 * `Impersonate-User`, `-Group`, `-Uid` and `-Extra-*` (upstream: endpoints/filters/impersonation.go). Each part is
 * authorized by itself against the verb `impersonate`; nothing of the real user's groups is kept.
 */
export const impersonate: Impersonate = (user, headers, authorizer) => {
  const name = first(headers['impersonate-user']);
  const groups = all(headers['impersonate-group']);
  const uid = first(headers['impersonate-uid']);
  const extra: Record<string, string[]> = {};
  for (const [header, value] of Object.entries(headers))
    if (header.startsWith('impersonate-extra-'))
      extra[decodeURIComponent(header.slice('impersonate-extra-'.length))] = all(value);
  if (name === undefined || name === '') {
    if (groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0)
      throw errors.badRequest('requested impersonation without impersonating a user');
    return user;
  }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  if (account) require(authorizer, user, '', 'serviceaccounts', account[2] as string, account[1]);
  else require(authorizer, user, '', 'users', name);
  for (const group of groups) require(authorizer, user, '', 'groups', group);
  if (uid !== undefined) require(authorizer, user, 'authentication.k8s.io', 'uids', uid);
  for (const [key, values] of Object.entries(extra))
    for (const value of values)
      require(authorizer, user, 'authentication.k8s.io', 'userextras', value, '', key);
  return impersonated(name, groups, account?.[1], uid, extra);
};

function impersonated(
  name: string,
  groups: string[],
  accountNamespace: string | undefined,
  uid: string | undefined,
  extra: Record<string, string[]>,
): UserInfo {
  const given =
    groups.length === 0 && accountNamespace !== undefined
      ? ['system:serviceaccounts', `system:serviceaccounts:${accountNamespace}`]
      : groups;
  const last = name === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated';
  const withLast =
    given.includes(last) || given.includes('system:unauthenticated') ? given : [...given, last];
  return { name, groups: withLast, extra, ...(uid === undefined ? {} : { uid }) };
}

function require(
  authorizer: Authorizer,
  user: UserInfo,
  group: string,
  resource: string,
  name: string,
  namespace = '',
  subresource = '',
): void {
  const attributes: Attributes = {
    user,
    isResource: true,
    verb: 'impersonate',
    path: '',
    apiPrefix: '',
    group,
    version: group === '' ? 'v1' : 'v1',
    namespace,
    resource,
    subresource,
    name,
  };
  const decision = authorizer.authorize(attributes);
  if (decision.verdict === 'allow') return;
  const what = subresource === '' ? resource : `${resource}/${subresource}`;
  throw errors.forbidden(
    { group, plural: what },
    name,
    `User "${user.name}" cannot impersonate resource "${what}" in API group "${group}"${namespace === '' ? ' at the cluster scope' : ` in the namespace "${namespace}"`}${decision.reason === '' ? '' : `: ${decision.reason}`}`,
  );
}
