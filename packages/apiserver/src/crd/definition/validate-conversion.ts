/** Conversion between versions by webhook (apiserver/pkg/util/webhook/validation.go for its address). */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { CustomResourceConversion, WebhookClientConfig } from '@cloudless/kube/types/apiextensions-v1';
import { isDns1035Label, isDns1123Subdomain, isPortNumber } from '../../registry/validation/names.ts';
import { caBundleError } from './ca-bundle.ts';
import type { Leniency } from './leniency.ts';

const reviewVersions = ['v1', 'v1beta1'];

export function validateConversion(
  conversion: CustomResourceConversion | undefined,
  leniency: Leniency,
  path: FieldPath,
): FieldError[] {
  if (!conversion) return [];
  const { strategy, webhook } = conversion;
  const found: FieldError[] = [];
  const strategies = ['None', 'Webhook'];
  if (!strategy) found.push(fieldErrors.required(path.child('strategy')));
  else if (!strategies.includes(strategy))
    found.push(fieldErrors.notSupportedAsListed(path.child('strategy'), strategy, strategies));
  const configPath = path.child('webhookClientConfig');
  const versionsPath = path.child('conversionReviewVersions');
  if (strategy !== 'Webhook') {
    const text = 'should not be set when strategy is not set to Webhook';
    if (webhook?.clientConfig) found.push(fieldErrors.forbidden(configPath, text));
    if ((webhook?.conversionReviewVersions?.length ?? 0) > 0)
      found.push(fieldErrors.forbidden(versionsPath, text));
    return found;
  }
  const config = webhook?.clientConfig;
  if (config) found.push(...validateClientConfig(config, leniency, configPath));
  else found.push(fieldErrors.required(configPath, 'required when strategy is set to Webhook'));
  return [
    ...found,
    ...validateReviewVersions(webhook?.conversionReviewVersions ?? [], leniency, versionsPath),
  ];
}

function validateReviewVersions(
  versions: readonly string[],
  leniency: Leniency,
  path: FieldPath,
): FieldError[] {
  if (versions.length === 0) return [fieldErrors.required(path)];
  const found: FieldError[] = [];
  for (const [i, version] of versions.entries()) {
    if (versions.indexOf(version) < i) {
      found.push(fieldErrors.invalid(path.index(i), version, 'duplicate version'));
      continue;
    }
    for (const text of isDns1035Label(version)) found.push(fieldErrors.invalid(path.index(i), version, text));
  }
  if (!leniency.unrecognizedReviewVersions && !versions.some((each) => reviewVersions.includes(each))) {
    const text = `must include at least one of ${reviewVersions.join(', ')}`;
    found.push(fieldErrors.invalid(path, versions, text));
  }
  return found;
}

function validateClientConfig(
  { url, service, caBundle }: WebhookClientConfig,
  leniency: Leniency,
  path: FieldPath,
): FieldError[] {
  const found: FieldError[] = [];
  if ((url === undefined) === (service === undefined))
    found.push(fieldErrors.required(path, 'exactly one of url or service is required'));
  else if (url !== undefined) found.push(...validateUrl(url, path.child('url')));
  else if (service) found.push(...validateService(service, path.child('service')));
  const broken = caBundle && !leniency.invalidCaBundle ? caBundleError(caBundle) : undefined;
  if (broken !== undefined) found.push(fieldErrors.invalid(path.child('caBundle'), caBundle, broken));
  return found;
}

const form = '; desired format: https://host[/path]';

function validateUrl(text: string, path: FieldPath): FieldError[] {
  // Not WHATWG's idea of a URL: Go's takes anything apart that has a colon or slashes.
  const parts = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(
    text,
  );
  if (!parts || /\p{Cc}/u.test(text))
    return [
      fieldErrors.required(
        path,
        `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URL${form}`,
      ),
    ];
  const [, scheme = '', authority = '', , query = '', fragment = ''] = parts;
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  const found: FieldError[] = [];
  const wrong = (value: string, why: string): void => void found.push(fieldErrors.invalid(path, value, why));
  if (scheme.toLowerCase() !== 'https')
    wrong(scheme.toLowerCase(), `'https' is the only allowed URL scheme${form}`);
  if (host === '') wrong(host, `host must be specified${form}`);
  if (at >= 0) wrong(authority.slice(0, at), 'user information is not permitted in the URL');
  if (fragment !== '') wrong(fragment, 'fragments are not permitted in the URL');
  if (query !== '') wrong(query, 'query parameters are not permitted in the URL');
  return found;
}

function validateService(
  service: NonNullable<WebhookClientConfig['service']>,
  path: FieldPath,
): FieldError[] {
  const found: FieldError[] = [];
  if (!service.name) found.push(fieldErrors.required(path.child('name')));
  if (!service.namespace) found.push(fieldErrors.required(path.child('namespace')));
  const port = service.port ?? 443;
  const wrongPort = isPortNumber(port);
  if (wrongPort.length > 0)
    found.push(fieldErrors.invalid(path.child('port'), port, `port is not valid: ${wrongPort.join(', ')}`));
  const { path: text = '' } = service;
  if (text === '' || text === '/') return found;
  const wrong = (why: string): void => void found.push(fieldErrors.invalid(path.child('path'), text, why));
  if (text === '//') {
    wrong('segment[0] may not be empty');
    return found;
  }
  if (!text.startsWith('/')) wrong("must start with a '/'");
  for (const [i, segment] of text.slice(1).replace(/\/$/, '').split('/').entries()) {
    if (segment === '') wrong(`segment[${i}] may not be empty`);
    else for (const why of isDns1123Subdomain(segment)) wrong(`segment[${i}]: ${why}`);
  }
  return found;
}
