import { errors, StatusError } from '@cloudless/kube/status';
import type { Attributes } from './info.ts';

/** 403 in upstream's words (apiserver/pkg/endpoints/handlers/responsewriters/errors.go). */
export function forbidden(attributes: Attributes, reason: string): StatusError {
  const user = JSON.stringify(attributes.user.name);
  const because = reason === '' ? '' : `: ${reason}`;
  if (!attributes.isResource) {
    const text = `forbidden: User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${because}`;
    return new StatusError(403, 'Forbidden', text, {});
  }
  const { group, resource, subresource, namespace, name } = attributes;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  const why = `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(full)} in API group ${JSON.stringify(group)} ${where}${because}`;
  return errors.forbidden({ group, plural: resource }, name, why);
}
