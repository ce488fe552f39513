/**
 * The forms that names, keys and values take in the Kubernetes API. Every function answers with the list of
 * what is wrong, in upstream's words (apimachinery/pkg/util/validation/validation.go), empty when all is well.
 */

/** Judges a name; with `isPrefix` it judges a `generateName`, to which characters will be appended. */
export type NameRule = (name: string, isPrefix?: boolean) => string[];

const dns1123Label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const dns1123Subdomain = `${dns1123Label}(\\.${dns1123Label})*`;
const dns1123LabelWithUnderscore = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const dns1123SubdomainWithUnderscore = `${dns1123LabelWithUnderscore}(\\.${dns1123LabelWithUnderscore})*`;
const dns1035Label = '[a-z]([-a-z0-9]*[a-z0-9])?';
const qualifiedName = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const labelValue = `(${qualifiedName})?`;
const wildcardSubdomain = `\\*\\.${dns1123Subdomain}`;
const percent = '[0-9]+%';
const httpHeaderName = '[-A-Za-z0-9]+';
const configMapKey = '[-._a-zA-Z0-9]+';
const httpPath = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

const whole = (pattern: string): RegExp => new RegExp(`^${pattern}$`);
const patterns = {
  dns1123Label: whole(dns1123Label),
  dns1123Subdomain: whole(dns1123Subdomain),
  dns1123SubdomainWithUnderscore: whole(dns1123SubdomainWithUnderscore),
  dns1035Label: whole(dns1035Label),
  qualifiedName: whole(qualifiedName),
  labelValue: whole(labelValue),
  wildcardSubdomain: whole(wildcardSubdomain),
  percent: whole(percent),
  httpHeaderName: whole(httpHeaderName),
  configMapKey: whole(configMapKey),
  httpPath: whole(httpPath),
  portNameCharacters: /^[-a-z0-9]+$/,
  portNameLetter: /[a-z]/,
  /** Printable ASCII without '='. */
  relaxedEnvName: /^[ -<>-~]*$/,
};

/** `text (e.g. 'a',  or 'b', regex used for validation is 'r')`: upstream's odd comma included. */
export function regexError(text: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${text} (regex used for validation is '${pattern}')`;
  const shown = examples.map((example) => `'${example}', `).join(' or ');
  return `${text} (e.g. ${shown}regex used for validation is '${pattern}')`;
}

export const maxLengthError = (length: number): string => `must be no more than ${length} characters`;
/** As {@link maxLengthError}, where upstream counts what it counts in bytes (api/validate/content). */
const maxBytesError = (length: number): string => `must be no more than ${length} bytes`;
export const rangeError = (low: number, high: number): string =>
  `must be between ${low} and ${high}, inclusive`;

const dns1123LabelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const dns1123SubdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const dns1123UnderscoreText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
const dns1035LabelText =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const qualifiedNameText =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const labelValueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** RFC 1123 label: at most 63 characters. */
export function isDns1123Label(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 63) wrong.push(maxLengthError(63));
  if (!patterns.dns1123Label.test(value)) {
    wrong.push(
      patterns.dns1123Subdomain.test(value)
        ? 'must not contain dots'
        : regexError(dns1123LabelText, dns1123Label, 'my-name', '123-abc'),
    );
  }
  return wrong;
}

/** RFC 1123 subdomain: labels joined by dots, at most 253 characters. */
export function isDns1123Subdomain(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 253) wrong.push(maxLengthError(253));
  if (!patterns.dns1123Subdomain.test(value)) {
    wrong.push(regexError(dns1123SubdomainText, dns1123Subdomain, 'example.com'));
  }
  return wrong;
}

/** As {@link isDns1123Subdomain}, labels may start with and hold underscores. */
export function isDns1123SubdomainWithUnderscore(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 253) wrong.push(maxLengthError(253));
  if (!patterns.dns1123SubdomainWithUnderscore.test(value)) {
    wrong.push(regexError(dns1123UnderscoreText, dns1123SubdomainWithUnderscore, 'example.com'));
  }
  return wrong;
}

/** RFC 1035 label: at most 63 characters, a letter first. */
export function isDns1035Label(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 63) wrong.push(maxLengthError(63));
  if (!patterns.dns1035Label.test(value)) {
    wrong.push(regexError(dns1035LabelText, dns1035Label, 'my-name', 'abc-123'));
  }
  return wrong;
}

/** `*.` and a subdomain. */
export function isWildcardDns1123Subdomain(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 253) wrong.push(maxLengthError(253));
  if (!patterns.wildcardSubdomain.test(value)) {
    wrong.push(
      regexError(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        wildcardSubdomain,
        '*.example.com',
      ),
    );
  }
  return wrong;
}

/** A label or annotation key: `[subdomain/]name`, name at most 63 characters. */
export function isQualifiedName(value: string): string[] {
  const slash = value.indexOf('/');
  if (slash !== -1 && value.indexOf('/', slash + 1) !== -1) {
    const text = regexError(qualifiedNameText, qualifiedName, 'MyName', 'my.name', '123-abc');
    return [
      `a qualified name ${text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const wrong: string[] = [];
  if (slash === 0) wrong.push('prefix part must be non-empty');
  else if (slash > 0) {
    for (const text of isDns1123Subdomain(value.slice(0, slash)))
      wrong.push(`prefix part ${text.replace(/characters$/, 'bytes')}`);
  }
  const name = value.slice(slash + 1);
  if (name === '') wrong.push('name part must be non-empty');
  else if (name.length > 63) wrong.push(`name part ${maxBytesError(63)}`);
  if (!patterns.qualifiedName.test(name)) {
    wrong.push(`name part ${regexError(qualifiedNameText, qualifiedName, 'MyName', 'my.name', '123-abc')}`);
  }
  return wrong;
}

/** A label's value: empty, or at most 63 characters. */
export function isLabelValue(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 63) wrong.push(maxBytesError(63));
  if (!patterns.labelValue.test(value)) {
    wrong.push(regexError(labelValueText, labelValue, 'MyValue', 'my_value', '12345'));
  }
  return wrong;
}

/** The name of an environment variable: printable ASCII other than `=`. */
export function isEnvName(value: string): string[] {
  const wrong: string[] = [];
  if (value === '') wrong.push('environment variable name must be non-empty');
  if (!patterns.relaxedEnvName.test(value)) {
    wrong.push(
      "a valid environment variable name must consist only of printable ASCII characters other than '='",
    );
  }
  return wrong;
}

/** A key of a ConfigMap's or Secret's data. */
export function isConfigMapKey(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 253) wrong.push(maxLengthError(253));
  if (!patterns.configMapKey.test(value)) {
    wrong.push(
      regexError(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        configMapKey,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  }
  if (value === '.') wrong.push("must not be '.'");
  else if (value === '..') wrong.push("must not be '..'");
  else if (value.startsWith('..')) wrong.push("must not start with '..'");
  return wrong;
}

export function isHttpHeaderName(value: string): string[] {
  if (patterns.httpHeaderName.test(value)) return [];
  const text = "a valid HTTP header must consist of alphanumeric characters or '-'";
  return [regexError(text, httpHeaderName, 'X-Header-Name')];
}

export function isPercent(value: string): string[] {
  if (patterns.percent.test(value)) return [];
  const text = "a valid percent string must be a numeric string followed by an ending '%'";
  return [regexError(text, percent, '1%', '93%')];
}

/** True when `value` holds only what a URL path may hold. */
export const isHttpPath = (value: string): boolean => patterns.httpPath.test(value);
export const httpPathError = (): string => regexError('Invalid path', httpPath);

/** IANA service name (RFC 6335): at most 15 characters. */
export function isPortName(value: string): string[] {
  const wrong: string[] = [];
  if (value.length > 15) wrong.push(maxLengthError(15));
  if (!patterns.portNameCharacters.test(value)) {
    wrong.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!patterns.portNameLetter.test(value)) wrong.push('must contain at least one letter (a-z)');
  if (value.includes('--')) wrong.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) wrong.push('must not begin or end with a hyphen');
  return wrong;
}

type Integer = number | bigint;

export const isInRange = (value: Integer, low: number, high: number): string[] =>
  value >= low && value <= high ? [] : [rangeError(low, high)];
export const isPortNumber = (port: Integer): string[] => isInRange(port, 1, 65535);
/** User and group IDs: 0 to 2^31-1. */
export const isUserId = (id: Integer): string[] => isInRange(id, 0, 2147483647);
export const isGroupId = isUserId;

/** A trailing dash is fine in a prefix, since characters follow it. */
function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name;
}

const masked =
  (rule: (name: string) => string[]): NameRule =>
  (name, isPrefix = false) =>
    rule(isPrefix ? maskTrailingDash(name) : name);

export const nameIsDnsSubdomain: NameRule = masked(isDns1123Subdomain);
export const nameIsDnsLabel: NameRule = masked(isDns1123Label);

/** Anything that can stand between two slashes of a URL (RBAC kinds, events). */
export const nameIsPathSegment: NameRule = (name, isPrefix = false) => {
  if (!isPrefix && (name === '.' || name === '..')) return [`may not be '${name}'`];
  return ['/', '%'].filter((text) => name.includes(text)).map((text) => `may not contain '${text}'`);
};
