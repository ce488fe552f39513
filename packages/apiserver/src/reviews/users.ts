import type { UserInfo as ReviewedUser } from '@cloudless/kube/types/authentication-v1';
import type { UserInfo } from '@cloudless/kube/user';

/** A user as reviews show it. */
export function reviewedUser(user: UserInfo): ReviewedUser {
  const extra = Object.entries(user.extra ?? {}).map(
    ([key, values]) => [key, [...values]] as [string, string[]],
  );
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(extra.length === 0 ? {} : { extra: Object.fromEntries(extra) }),
  };
}
