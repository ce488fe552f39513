/** Conversion between versions by webhook (apiextensions/validation/validation.go). */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { CustomResourceConversion, WebhookClientConfig } from '@cloudless/kube/types/apiextensions-v1';
import { validateClientConfig } from '../../registry/strategies/admission/webhook-client-config.ts';
import { isDns1035Label } from '../../registry/validation/names.ts';
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
  if (config) found.push(...validateConfig(config, leniency, configPath));
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

function validateConfig(config: WebhookClientConfig, leniency: Leniency, path: FieldPath): FieldError[] {
  const { caBundle } = config;
  const found = validateClientConfig(config, path);
  const broken = caBundle && !leniency.invalidCaBundle ? caBundleError(caBundle) : undefined;
  if (broken !== undefined) found.push(fieldErrors.invalid(path.child('caBundle'), caBundle, broken));
  return found;
}
