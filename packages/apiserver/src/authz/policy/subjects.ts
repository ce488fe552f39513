import type { Subject } from '@cloudless/kube/types/rbac-v1';

const apiGroup = 'rbac.authorization.k8s.io';

export const user = (name: string): Subject => ({ apiGroup, kind: 'User', name });
export const group = (name: string): Subject => ({ apiGroup, kind: 'Group', name });
/** A service account, of kube-system unless another namespace is named. */
export const account = (name: string, namespace = 'kube-system'): Subject => ({
  kind: 'ServiceAccount',
  name,
  namespace,
});
