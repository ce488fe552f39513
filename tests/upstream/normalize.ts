/** What two servers may rightly differ in: identities, times, versions, addresses of this run. */

const patterns: ReadonlyArray<readonly [RegExp, string]> = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UID'],
  [/\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, 'TIME'],
  [/\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4} \w+(?: m=[+-][\d.]+)?/g, 'TIME'],
  [/\bmade-[a-z0-9]{5}\b/g, 'made-XXXXX'],
  [/(Too large resource version: \d+, current:) \d+/g, '$1 VERSION'],
  [/(?:127\.0\.0\.1|192\.0\.2\.1):\d+/g, 'SERVER'],
  [
    /(the ResourceVersion in the precondition \(\d+\) does not match the ResourceVersion in record) \(\d+\)/g,
    '$1 (VERSION)',
  ],
  [/(ResourceVersion in precondition: \d+, ResourceVersion in object meta:) \d+/g, '$1 VERSION'],
  // Node ports, in messages and in cells.
  [/\bnodePort: ?\d+/g, 'nodePort:PORT'],
  [/:3\d{4}\/(TCP|UDP|SCTP)/g, ':PORT/$1'],
  // How Go writes these in JSON; some of its messages hold JSON.
  [/\\u0026/g, '&'],
  [/\\u003c/g, '<'],
  [/\\u003e/g, '>'],
];

/** A text without what belongs to one server only. The difference that a refused update of a pod shows is cut off. */
export function normalText(text: string): string {
  let out = text;
  for (const [pattern, word] of patterns) out = out.replace(pattern, word);
  return out
    .replace(/\bkube-api-access-[a-z0-9]{5}\b/g, 'kube-api-access-XXXXX')
    .replace(
      /(pod updates may not change fields other than [^\n]*|is immutable after creation[^\n]*)\n[\s\S]*$/,
      '$1',
    );
}

const dropped = new Set(['uid', 'resourceVersion', 'selfLink']);
/** Ports at which the two servers listen: they are in what each makes for itself. */
export const serverPorts = new Set<number>();
const serverGiven = new Set(['continue', 'token', 'clusterIP', 'nodePort', 'healthCheckNodePort']);

/** The message of a cause without a value that Go prints as its internal struct: names in capitals, zeros and all. */
export const withoutStruct = (message: string): string =>
  message.replace(
    /^(Invalid value|Unsupported value|Duplicate value): [[{].*"[A-Z]\w*":.*(?=[\]}])[\]}]/s,
    '$1: STRUCT',
  );

/** A message with the JSON of its value in the order of names: Go has its own, and texts are compared. */
export function sortedMessage(message: string): string {
  const match = /^((?:Invalid|Unsupported|Duplicate) value: )([[{].*[\]}])(: .*|$)/s.exec(message);
  if (!match) return message;
  try {
    return `${match[1]}${JSON.stringify(normalBody(JSON.parse(match[2] as string)))}${match[3]}`;
  } catch {
    return message;
  }
}

interface ManagedFields {
  manager?: string;
  operation?: string;
  subresource?: string;
}

/** By who manages them: both servers put them in the order of their times. */
const inOrder = (list: ManagedFields[]): ManagedFields[] =>
  list.toSorted((a, b) => (identity(a) < identity(b) ? -1 : 1));
const identity = ({ manager, operation, subresource }: ManagedFields): string =>
  `${operation} ${manager} ${subresource ?? ''}`;

/** What `kubectl get` shows of a moment: how long ago it was. */
const age = /^(?:\d+[ydhms])+$/;

/** A parsed body without what belongs to one server only; members in the order of their names. */
export function normalBody(value: unknown, key = '', parent = ''): unknown {
  if (Array.isArray(value)) return value.map((each) => normalBody(each, '', key));
  if (typeof value === 'string') {
    if (parent === 'cells' && age.test(value)) return '<age>';
    if (value !== '' && serverGiven.has(key)) return `<${key}>`;
    return normalText(value);
  }
  if (typeof value === 'number' && serverPorts.has(value)) return '<port>';
  if (typeof value === 'number' && serverGiven.has(key) && value !== 0) return `<${key}>`;
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name];
    if (key === 'metadata' && dropped.has(name)) continue;
    if (key === 'details' && name === 'uid') continue;
    if (name === 'resourceVersion' && parent === '' && key === 'metadata') continue;
    // Columns are described in words of our own.
    if (parent === 'columnDefinitions' && name === 'description') {
      out[name] = '<words>';
      continue;
    }
    if (name === 'creationTimestamp' && typeof member === 'string') {
      out[name] = 'TIME';
      continue;
    }
    out[name] = normalBody(member, name, key);
  }
  if (key === 'metadata' && Array.isArray(out['managedFields']))
    out['managedFields'] = inOrder(out['managedFields'] as ManagedFields[]);
  if (key === 'metadata' && typeof out['generateName'] === 'string') out['name'] = '<generated>';
  return out;
}
