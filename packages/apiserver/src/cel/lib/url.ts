/** URLs (apiserver/pkg/cel/library/urls.go). */
import { fn, method, type Overload } from '../check/functions.ts';
import { ArrayList, CelOpaque, type CelValue, EntryMap, fail } from '../run/values.ts';
import { boolType, listType, mapType, nominalType, stringType } from '../types.ts';
import { type GoUrl, parseQuery, parseRequestUrl } from './go-url.ts';

const urlType = nominalType('kubernetes.URL');

class UrlValue extends CelOpaque {
  override readonly typeName = 'kubernetes.URL';
  readonly url: GoUrl;

  constructor(url: GoUrl) {
    super();
    this.url = url;
  }

  override equals(other: CelOpaque): boolean {
    return other instanceof UrlValue && other.url.text === this.url.text;
  }
}

/** Without port and brackets. */
function hostname({ host }: GoUrl): string {
  const bracketed = /^\[(.*)\]/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d*$/, '');
}

const port = ({ host }: GoUrl): string => /:(\d*)$/.exec(host.replace(/^\[.*\]/, ''))?.[1] ?? '';

const getter = (name: string, id: string, get: (url: GoUrl) => string): Overload =>
  method(name, id, [urlType], stringType, (value: UrlValue) => get(value.url));

export const urlLibrary: readonly Overload[] = [
  fn('url', 'string_to_url', [stringType], urlType, (text: string): CelValue => {
    const url = parseRequestUrl(text);
    return typeof url === 'string'
      ? fail(`URL parse error during conversion from string: ${url}`)
      : new UrlValue(url);
  }),
  getter('getScheme', 'url_get_scheme', (url) => url.scheme),
  getter('getHost', 'url_get_host', (url) => url.host),
  getter('getHostname', 'url_get_hostname', hostname),
  getter('getPort', 'url_get_port', port),
  getter('getEscapedPath', 'url_get_escaped_path', (url) => url.path),
  method(
    'getQuery',
    'url_get_query',
    [urlType],
    mapType(stringType, listType(stringType)),
    (value: UrlValue) =>
      EntryMap.of([...parseQuery(value.url.query)].map(([name, values]) => [name, new ArrayList(values)])),
  ),
  fn(
    'isURL',
    'is_url_string',
    [stringType],
    boolType,
    (text: string) => typeof parseRequestUrl(text) !== 'string',
  ),
];
