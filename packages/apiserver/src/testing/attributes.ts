import type { UserInfo } from '@cloudless/kube/user';
import type { Attributes } from '../request/info.ts';

/** A resource request by `user`; `what` fills in the rest of it. */
export const resourceRequest = (
  user: UserInfo,
  verb: string,
  resource: string,
  what: Partial<Attributes> = {},
): Attributes => ({
  user,
  isResource: true,
  verb,
  path: '',
  apiPrefix: 'apis',
  group: '',
  version: 'v1',
  namespace: '',
  resource,
  subresource: '',
  name: '',
  ...what,
});

export const pathRequest = (user: UserInfo, verb: string, path: string): Attributes => ({
  ...resourceRequest(user, verb, ''),
  isResource: false,
  path,
  apiPrefix: '',
});
