/** URLs as Go's net/url reads them; the WHATWG URL of Node repairs what Go refuses. */
import { parseAddress } from './go-address.ts';
import { goQuoted } from './string-format.ts';

export interface GoUrl {
  readonly scheme: string;
  readonly host: string;
  /** As EscapedPath gives it. */
  readonly path: string;
  readonly query: string;
  /** The text again, as String() gives it. */
  readonly text: string;
}

class UrlProblem extends Error {}

const pathCharacters = /^[A-Za-z0-9\-_.~!$&'()*+,;=:@/[\]%]*$/;
const neverEscaped = /[A-Za-z0-9\-_.~$&+,/:;=@]/;

/** Checks percent escapes; `host` forbids those of ASCII, as Go does. */
function checkEscapes(text: string, host = false): void {
  for (const match of text.matchAll(/%(.{0,2})/gs)) {
    const [escape, digits] = match as unknown as [string, string];
    if (!/^[0-9a-fA-F]{2}$/.test(digits) || (host && /^[0-7]/.test(digits) && digits !== '25'))
      throw new UrlProblem(`invalid URL escape ${goQuoted(escape)}`);
  }
}

function schemeOf(text: string): [scheme: string, rest: string] {
  const match = /^([A-Za-z][A-Za-z0-9+\-.]*)?:/.exec(text);
  if (!match) return ['', text];
  if (match[1] === undefined) throw new UrlProblem('missing protocol scheme');
  return [match[1].toLowerCase(), text.slice(match[0].length)];
}

const checkPort = (port: string): void => {
  if (port !== '' && !/^:\d*$/.test(port)) throw new UrlProblem(`invalid port ${goQuoted(port)} after host`);
};

function checkHost(scheme: string, host: string): void {
  const open = host.lastIndexOf('[');
  if (open > 0) throw new UrlProblem('invalid IP-literal');
  if (open === 0) {
    const close = host.lastIndexOf(']');
    if (close < 0) throw new UrlProblem("missing ']' in host");
    checkPort(host.slice(close + 1));
    const address = parseAddress(host.slice(1, close).replace('%25', '%'));
    if (typeof address === 'string') throw new UrlProblem(`invalid host: ${address}`);
    if (address.family === 'IPv4') throw new UrlProblem('invalid IP-literal');
    return;
  }
  const strict = scheme === 'http' || scheme === 'https';
  const colon = strict ? host.indexOf(':') : host.lastIndexOf(':');
  if (colon >= 0) checkPort(host.slice(colon));
  checkEscapes(host, true);
  const strange = /[\0-\x20"#/?@\\^`{|}<>\x7f]/.exec(host.replaceAll(/%[0-9a-fA-F]{2}/g, ''))?.[0];
  if (strange !== undefined && !'"<>'.includes(strange))
    throw new UrlProblem(`invalid character ${goQuoted(strange)} in host name`);
}

function checkAuthority(scheme: string, authority: string): string {
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  checkHost(scheme, host);
  if (at < 0) return decodeHost(host);
  const user = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new UrlProblem('net/url: invalid userinfo');
  checkEscapes(user);
  return decodeHost(host);
}

const decodeHost = (host: string): string =>
  host.replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (escaped) =>
    Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('utf8'),
  );

/** A path as it was, if it is a valid encoding; else encoded anew. */
function escapedPath(path: string): string {
  if (pathCharacters.test(path)) return path;
  const bytes = Buffer.from(
    path.replaceAll(/%([0-9a-fA-F]{2})/g, (_whole, digits: string) =>
      String.fromCharCode(0xe000 + Number.parseInt(digits, 16)),
    ),
  ).toString();
  let out = '';
  for (const character of bytes) {
    const code = character.codePointAt(0) ?? 0;
    const raw = code >= 0xe000 && code < 0xe100 ? Buffer.of(code - 0xe000) : Buffer.from(character);
    for (const byte of raw) {
      const text = String.fromCharCode(byte);
      out +=
        byte < 0x80 && neverEscaped.test(text)
          ? text
          : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
  }
  return out;
}

function parse(text: string): GoUrl {
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(text)) throw new UrlProblem('net/url: invalid control character in URL');
  if (text === '') throw new UrlProblem('empty url');
  if (text === '*') return { scheme: '', host: '', path: '*', query: '', text };
  const [scheme, afterScheme] = schemeOf(text);
  const question = afterScheme.indexOf('?');
  const rest = question < 0 ? afterScheme : afterScheme.slice(0, question);
  const query = question < 0 ? '' : afterScheme.slice(question + 1);
  if (!rest.startsWith('/')) {
    if (scheme === '') throw new UrlProblem('invalid URI for request');
    return { scheme, host: '', path: '', query, text };
  }
  let host = '';
  let path = rest;
  if (scheme !== '' && rest.startsWith('//')) {
    const slash = rest.indexOf('/', 2);
    host = checkAuthority(scheme, slash < 0 ? rest.slice(2) : rest.slice(2, slash));
    path = slash < 0 ? '' : rest.slice(slash);
  }
  checkEscapes(path);
  return { scheme, host, path: escapedPath(path), query, text };
}

/** The URL of a request, absolute or a path; or Go's text of why there is none. */
export function parseRequestUrl(text: string): GoUrl | string {
  try {
    return withoutFragment(parse(text));
  } catch (error) {
    if (error instanceof UrlProblem) return `parse ${goQuoted(text)}: ${error.message}`;
    throw error;
  }
}

/** A request has no fragment: `#` is a character of path or query there, but upstream then parses as a reference. */
function withoutFragment(url: GoUrl): GoUrl {
  const hash = url.text.indexOf('#');
  if (hash < 0) return url;
  return { ...parse(url.text.slice(0, hash) || '*'), text: url.text };
}

/** Values by name, in order (Go: url.ParseQuery; pairs that cannot be read are left out). */
export function parseQuery(query: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const pair of query.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const equals = pair.indexOf('=');
    const parts = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    const decoded = parts.map((part) => decodeQuery(part));
    const [name, value] = decoded;
    if (name === undefined || value === undefined) continue;
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return values;
}

function decodeQuery(text: string): string | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  return text
    .replaceAll('+', ' ')
    .replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (escaped) =>
      Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('utf8'),
    );
}
