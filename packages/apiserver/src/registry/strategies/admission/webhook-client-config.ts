import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { ServiceReference, WebhookClientConfig } from '@cloudless/kube/types/admissionregistration-v1';
import { invalidEach } from '../../validation/fields.ts';
import { isDns1123Subdomain, isPortNumber } from '../../validation/names.ts';

const form = '; desired format: https://host[/path]';

/** Not WHATWG's idea of a URL: Go's takes anything apart that has a colon or slashes. */
const urlParts = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/;

function validateUrl(text: string, path: FieldPath): FieldError[] {
  const [, scheme = '', authority = '', , query = '', fragment = ''] = urlParts.exec(text) ?? [];
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  const isHttps = scheme.toLowerCase() === 'https';
  // What goes to a host must be a URL for the one who calls it, too.
  if (/\p{Cc}/u.test(text) || (isHttps && host !== '' && !URL.canParse(text)))
    return [
      fieldErrors.required(
        path,
        `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URL${form}`,
      ),
    ];
  const found: FieldError[] = [];
  const wrong = (value: string, why: string): void => void found.push(fieldErrors.invalid(path, value, why));
  if (!isHttps) wrong(scheme.toLowerCase(), `'https' is the only allowed URL scheme${form}`);
  if (host === '') wrong(host, `host must be specified${form}`);
  if (at >= 0) wrong(authority.slice(0, at), 'user information is not permitted in the URL');
  if (fragment !== '') wrong(fragment, 'fragments are not permitted in the URL');
  if (query !== '') wrong(query, 'query parameters are not permitted in the URL');
  return found;
}

function validateServicePath(text: string, path: FieldPath): FieldError[] {
  if (text === '' || text === '/') return [];
  if (text === '//') return [fieldErrors.invalid(path, text, 'segment[0] may not be empty')];
  const wrong = text.startsWith('/') ? [] : [fieldErrors.invalid(path, text, "must start with a '/'")];
  // Upstream cuts off the first byte, whatever it is.
  const steps = Buffer.from(text).subarray(1).toString().replace(/\/$/, '').split('/');
  for (const [i, step] of steps.entries()) {
    if (step === '') wrong.push(fieldErrors.invalid(path, text, `segment[${i}] may not be empty`));
    else
      wrong.push(
        ...invalidEach(
          path,
          text,
          isDns1123Subdomain(step).map((why) => `segment[${i}]: ${why}`),
        ),
      );
  }
  return wrong;
}

function validateService(
  { name, namespace, port = 443, path: text }: ServiceReference,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  if (!name) wrong.push(fieldErrors.required(path.child('name')));
  if (!namespace) wrong.push(fieldErrors.required(path.child('namespace')));
  const why = isPortNumber(port);
  if (why.length > 0)
    wrong.push(fieldErrors.invalid(path.child('port'), port, `port is not valid: ${why.join(', ')}`));
  return text === undefined ? wrong : [...wrong, ...validateServicePath(text, path.child('path'))];
}

/** Where a webhook is: one of a URL and a Service (apiserver/pkg/util/webhook/validation.go). */
export function validateClientConfig(config: WebhookClientConfig | undefined, path: FieldPath): FieldError[] {
  const { url, service } = config ?? {};
  if ((url === undefined) === (service === undefined))
    return [fieldErrors.required(path, 'exactly one of url or service is required')];
  return service
    ? validateService(service, path.child('service'))
    : validateUrl(url as string, path.child('url'));
}
