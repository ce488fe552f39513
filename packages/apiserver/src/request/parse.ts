import { parseFieldSelector } from '@cloudless/kube/selector/selector';
import { errors } from '@cloudless/kube/status';
import type { RequestInfo } from './info.ts';

const methodVerbs: ReadonlyMap<string, string> = new Map(
  Object.entries<string>({
    POST: 'create',
    GET: 'get',
    HEAD: 'get',
    PUT: 'update',
    PATCH: 'patch',
    DELETE: 'delete',
  }),
);
const namespaceSubresources: ReadonlySet<string> = new Set(['status', 'finalize']);
const withSelectors: ReadonlySet<string> = new Set(['list', 'watch', 'deletecollection']);

/** `true` unless the text says otherwise, as Go's conversion of query parameters has it. */
export const isTrue = (text: string | null): boolean =>
  text !== null && text.toLowerCase() !== 'false' && text !== '0';

function decoded(part: string, path: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw errors.badRequest(`invalid URL escape in path ${JSON.stringify(path)}`);
  }
}

/** One part of a resource's path. A name cannot hold a slash, however it is escaped: it is part of a storage key. */
function segment(part: string, path: string): string {
  const text = decoded(part, path);
  if (text.includes('/'))
    throw errors.badRequest(`invalid name ${JSON.stringify(text)}: may not contain '/'`);
  return text;
}

/** The one name that a field selector demands, as the selector itself is read later on; '' for none or a broken one. */
export function selectedName(text: string | null): string {
  if (!text) return '';
  try {
    const name = parseFieldSelector(text).exactMatch('metadata.name') ?? '';
    return name === '.' || name === '..' || /[/%]/.test(name) ? '' : name;
  } catch {
    return '';
  }
}

/** What a request's method and URL mean, with the selectors that authorization may look at. */
export interface ParsedRequest extends RequestInfo {
  /** What follows the subresource; nothing that is served has any. */
  rest?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

/**
 * Reads method and path as upstream does (apiserver/pkg/endpoints/request/requestinfo.go): resource requests are
 * `/api/VERSION/…` and `/apis/GROUP/VERSION/…` with something behind the version. `path` is still escaped.
 */
export function parseRequest(method: string, path: string, query: URLSearchParams): ParsedRequest {
  const info: ParsedRequest = {
    isResource: false,
    verb: method.toLowerCase(),
    path: decoded(path, path),
    apiPrefix: '',
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
  };
  let parts = path.split('/').filter((part, i, all) => part !== '' || (i !== 0 && i !== all.length - 1));
  const [prefix] = parts;
  if (parts.length < 3 || (prefix !== 'api' && prefix !== 'apis')) return info;
  if (prefix === 'apis' && parts.length < 4) return info;
  parts = parts.map((part) => segment(part, path));
  info.apiPrefix = prefix;
  info.isResource = true;
  if (prefix === 'apis') info.group = parts[1] as string;
  parts = parts.slice(prefix === 'apis' ? 2 : 1);
  info.version = parts[0] as string;
  parts = parts.slice(1);
  info.verb = methodVerbs.get(method) ?? '';
  // The deprecated `/watch/…` prefix is a watch of what follows.
  const byPrefix = parts[0] === 'watch' && parts.length > 1;
  if (byPrefix) {
    info.verb = 'watch';
    parts = parts.slice(1);
  }
  if (parts[0] === 'namespaces' && parts.length > 1) {
    info.namespace = parts[1] as string;
    if (parts.length > 2 && !namespaceSubresources.has(parts[2] as string)) parts = parts.slice(2);
  }
  info.resource = parts[0] ?? '';
  info.name = parts[1] ?? '';
  info.subresource = parts[2] ?? '';
  info.rest = parts.slice(3).join('/');
  if (info.name === '' && info.verb === 'get') {
    info.verb = isTrue(query.get('watch')) ? 'watch' : 'list';
    info.name = selectedName(query.get('fieldSelector'));
  }
  if (info.name === '' && info.verb === 'delete') info.verb = 'deletecollection';
  if (!byPrefix && withSelectors.has(info.verb)) {
    const labels = query.get('labelSelector');
    const fields = query.get('fieldSelector');
    if (labels) info.labelSelector = labels;
    if (fields) info.fieldSelector = fields;
  }
  return info;
}
