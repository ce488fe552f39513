/**
 * What labels may look like, with upstream's texts (apimachinery/pkg/api/validate/content). Each function
 * answers a list of messages, empty when the value is good.
 */
const labelKeyFormat = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const labelKeyRegexp = new RegExp(`^${labelKeyFormat}$`);
const labelValueFormat = `(${labelKeyFormat})?`;
const labelValueRegexp = new RegExp(`^${labelValueFormat}$`);
const dnsLabelFormat = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const dnsSubdomainFormat = `${dnsLabelFormat}(\\.${dnsLabelFormat})*`;
const dnsSubdomainRegexp = new RegExp(`^${dnsSubdomainFormat}$`);

const labelMaxBytes = 63;
const dnsSubdomainMaxBytes = 253;

const nameRule =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const labelValueRule = `a valid label must be an empty string or consist of${nameRule.slice('must consist of'.length)}`;
const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

const tooLong = (max: number): string => `must be no more than ${max} bytes`;

function broken(rule: string, format: string, ...examples: string[]): string {
  return `${rule} (e.g. ${examples.map((e) => `'${e}', `).join(' or ')}regex used for validation is '${format}')`;
}

/** A lower-case RFC 1123 subdomain, at most 253 bytes. */
export function dnsSubdomainErrors(value: string): string[] {
  const errors: string[] = [];
  if (Buffer.byteLength(value) > dnsSubdomainMaxBytes) errors.push(tooLong(dnsSubdomainMaxBytes));
  if (!dnsSubdomainRegexp.test(value)) errors.push(broken(subdomainRule, dnsSubdomainFormat, 'example.com'));
  return errors;
}

/** A label's key, which upstream also calls a qualified name: `[prefix/]name`. */
export function labelKeyErrors(value: string): string[] {
  const parts = value.split('/');
  const nameBroken = broken(nameRule, labelKeyFormat, 'MyName', 'my.name', '123-abc');
  if (parts.length > 2) {
    return [
      `a valid label key ${nameBroken} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const errors: string[] = [];
  if (parts.length === 2) {
    const prefix = parts[0] as string;
    if (prefix === '') errors.push('prefix part must be non-empty');
    else errors.push(...dnsSubdomainErrors(prefix).map((message) => `prefix part ${message}`));
  }
  const name = parts[parts.length - 1] as string;
  if (name === '') errors.push('name part must be non-empty');
  else if (Buffer.byteLength(name) > labelMaxBytes) errors.push(`name part ${tooLong(labelMaxBytes)}`);
  if (!labelKeyRegexp.test(name)) errors.push(`name part ${nameBroken}`);
  return errors;
}

/** A label's value: empty, or at most 63 bytes. */
export function labelValueErrors(value: string): string[] {
  const errors: string[] = [];
  if (Buffer.byteLength(value) > labelMaxBytes) errors.push(tooLong(labelMaxBytes));
  if (!labelValueRegexp.test(value)) {
    errors.push(broken(labelValueRule, labelValueFormat, 'MyValue', 'my_value', '12345'));
  }
  return errors;
}
