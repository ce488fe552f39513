import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { isDns1123Label, isDns1123Subdomain } from '../../validation/names.ts';

/** The texts of the first of `labels` that breaks `rule`. */
function firstWrongLabel(
  labels: readonly string[],
  rule: (label: string) => string[],
  shown: string,
  path: FieldPath,
): FieldError[] {
  for (const label of labels) {
    const texts = rule(label);
    if (texts.length === 0) continue;
    return texts.map((text) =>
      fieldErrors.invalid(path, shown, `validating label ${JSON.stringify(label)}: ${text}`),
    );
  }
  return [];
}

/** `DOMAIN/PATH`, 571 bytes together (upstream: ValidateSignerName in pkg/apis/core/validation/names.go). */
export function validateSignerName(name: string, path: FieldPath): FieldError[] {
  if (name === '') return [fieldErrors.required(path)];
  const segments = name.split('/');
  if (segments.length !== 2) {
    const text = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    return [fieldErrors.invalid(path, name, text)];
  }
  const [domain, rest] = segments as [string, string];
  const wrong: FieldError[] = [];
  if (domain.length > 253) wrong.push(fieldErrors.tooLong(path, 253));
  const labels = domain.split('.');
  wrong.push(...firstWrongLabel(labels, isDns1123Label, domain, path));
  if (labels.length < 2) {
    const text = 'should be a domain with at least two segments separated by dots';
    wrong.push(fieldErrors.invalid(path, domain, text));
  }
  wrong.push(...firstWrongLabel(rest.split('.'), isDns1123Subdomain, rest, path));
  if (Buffer.byteLength(name) > 571) wrong.push(fieldErrors.tooLong(path, 571));
  return wrong;
}
