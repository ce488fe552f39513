/** Named formats: `format.dns1123Label().validate(x)` (apiserver/pkg/cel/library/format.go). */
import { labelKeyErrors } from '@cloudless/kube/selector/validation';
import {
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isLabelValue,
} from '../../registry/validation/names.ts';
import { fn, method, type Overload } from '../check/functions.ts';
import { ArrayList, CelOpaque, CelOptional } from '../run/values.ts';
import { listType, nominalType, optionalType, stringType } from '../types.ts';
import { parseRequestUrl } from './go-url.ts';
import { parseDate } from './time-text.ts';

const formatType = nominalType('kubernetes.NamedFormat');

class FormatValue extends CelOpaque {
  override readonly typeName = 'kubernetes.NamedFormat';
  readonly name: string;
  /** Length of a pattern that takes as long; costs go by it. */
  readonly patternSize: number;
  readonly problems: (text: string) => string[];

  constructor(name: string, patternSize: number, problems: (text: string) => string[]) {
    super();
    this.name = name;
    this.patternSize = patternSize;
    this.problems = problems;
  }

  override equals(other: CelOpaque): boolean {
    return other instanceof FormatValue && other.name === this.name;
  }
}

/** A prefix may end in a dash: what follows begins with a letter or digit. */
const prefix =
  (problems: (text: string) => string[]) =>
  (text: string): string[] =>
    problems(text.endsWith('-') && text.length > 1 ? `${text.slice(0, -2)}a` : text);

const pattern =
  (regex: RegExp, problem: string) =>
  (text: string): string[] =>
    regex.test(text) ? [] : [problem];

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  return match !== null && parseDate(Number(match[1]), Number(match[2]), Number(match[3])) !== undefined;
}

function isDateTime(text: string): boolean {
  const [date, time] = text.toLowerCase().split('t') as [string, string | undefined];
  const match = /^(\d{2}):(\d{2}):(\d{2})(?:.\d+)?(?:z|[+-]\d{2}:\d{2})$/.exec(time ?? '');
  return (
    match !== null &&
    isDate(date) &&
    (match[1] as string) <= '23' &&
    (match[2] as string) <= '59' &&
    (match[3] as string) <= '59'
  );
}

const uuid = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;
/** Lengths of upstream's patterns for uuid, base64, URLs and times. */
const sizes = { uuid: 70, base64: 84, url: 1103, time: 71 } as const;

const formats: Readonly<Record<string, FormatValue>> = {
  dns1123Label: new FormatValue('DNS1123Label', 30, isDns1123Label),
  dns1123Subdomain: new FormatValue('DNS1123Subdomain', 60, isDns1123Subdomain),
  dns1035Label: new FormatValue('DNS1035Label', 30, isDns1035Label),
  qualifiedName: new FormatValue('QualifiedName', 60, labelKeyErrors),
  dns1123LabelPrefix: new FormatValue('DNS1123LabelPrefix', 30, prefix(isDns1123Label)),
  dns1123SubdomainPrefix: new FormatValue('DNS1123SubdomainPrefix', 60, prefix(isDns1123Subdomain)),
  dns1035LabelPrefix: new FormatValue('DNS1035LabelPrefix', 30, prefix(isDns1035Label)),
  labelValue: new FormatValue('LabelValue', 40, isLabelValue),
  uri: new FormatValue('URI', sizes.url, (text) => {
    const url = parseRequestUrl(text);
    return typeof url === 'string' ? [url] : [];
  }),
  uuid: new FormatValue('uuid', sizes.uuid, pattern(uuid, 'does not match the UUID format')),
  byte: new FormatValue('byte', sizes.base64, pattern(base64, 'invalid base64')),
  date: new FormatValue('date', sizes.time, (text) => (isDate(text) ? [] : ['invalid date'])),
  datetime: new FormatValue('datetime', sizes.time, (text) => (isDateTime(text) ? [] : ['invalid datetime'])),
};

export const formatLibrary: readonly Overload[] = [
  method(
    'validate',
    'format-validate',
    [formatType, stringType],
    optionalType(listType(stringType)),
    (format: FormatValue, text: string) => {
      const problems = format.problems(text);
      return problems.length === 0 ? CelOptional.none : CelOptional.of(new ArrayList(problems));
    },
  ),
  fn('format.named', 'format-named', [stringType], optionalType(formatType), (name: string) =>
    Object.hasOwn(formats, name) ? CelOptional.of(formats[name] as FormatValue) : CelOptional.none,
  ),
  ...Object.entries(formats).map(([name, format]) =>
    fn(`format.${name}`, `format.${name}`, [], formatType, () => format),
  ),
];
