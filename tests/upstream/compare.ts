import { isDeepStrictEqual } from 'node:util';
import { decodeProtobuf, isEnveloped } from '../../packages/kube/src/codec/protobuf.ts';
import { parseAllDocuments } from 'yaml';
import type { Case } from './case.ts';
import { normalBody, normalText, sortedMessage, withoutStruct } from './normalize.ts';
import type { Answer, Ask } from './peer.ts';

/** One way in which two answers differ. */
export interface Difference {
  /** What kind of difference it is; one mend should end a whole class. */
  readonly group: string;
  readonly family: string;
  readonly kind: string;
  readonly name: string;
  readonly request: string;
  readonly upstream: string;
  readonly ours: string;
}

interface Cause {
  reason: string;
  message: string;
  field: string;
}

interface StatusBody {
  kind?: string;
  message?: string;
  reason?: string;
  details?: { causes?: Cause[] };
}

/** `spec.containers[0].image` → `spec.containers[].image`: one class for all items. */
const general = (field: string): string => field.replace(/\[[^\]]*\]/g, '[]');
/** The words of a message without the values in it. */
const words = (message: string): string =>
  normalText(message)
    .replace(/"(?:[^"\\]|\\.)*"/g, '"…"')
    .replace(/\b\d+\b/g, '#')
    .slice(0, 160);

function parsed(answer: Answer): unknown {
  const type = answer.headers['content-type'] ?? '';
  if (isEnveloped(answer.body)) return normalBody(decodeProtobuf(answer.body));
  if (type.includes('yaml')) {
    const [document] = parseAllDocuments(answer.body.toString());
    return normalBody(document?.toJSON());
  }
  if (!type.includes('json')) return normalText(answer.body.toString());
  try {
    // A watch: one event a line.
    if (/^\{"type":"[A-Z]+"/.test(answer.body.toString()))
      return answer.body
        .toString()
        .trim()
        .split('\n')
        .map((line) => normalBody(JSON.parse(line)));
    return normalBody(JSON.parse(answer.body.toString()));
  } catch {
    return answer.body.toString();
  }
}

/** Whether the texts are the same, but for a value that Go prints as its internal struct. */
function sameMessage(upstream: string, ours: string): boolean {
  if (upstream === ours || sortedMessage(upstream) === sortedMessage(ours)) return true;
  // The whole object that a patch makes, as the server prints it.
  const whole = /^Invalid value: "(?:\{|map\[)/;
  if (whole.test(upstream) && whole.test(ours))
    return /[}\]]": (.*)$/s.exec(upstream)?.[1] === /[}\]]": (.*)$/s.exec(ours)?.[1];
  const struct = withoutStruct(upstream);
  if (struct === upstream) return false;
  const [head, tail] = struct.split('STRUCT') as [string, string];
  return ours.startsWith(head) && ours.endsWith(tail);
}

const causeText = ({ field, reason, message }: Cause): string => `${field}: ${reason}: ${message}`;

/** First cause, or else the message, with values taken out. */
function complaint(body: unknown): string {
  const { details, message, reason } = (body ?? {}) as StatusBody;
  const cause = details?.causes?.[0];
  if (cause) return `${general(cause.field)}: ${words(cause.message)}`;
  return `${reason ?? ''} ${words(message ?? '')}`;
}

type Add = (group: string, upstream: unknown, ours: unknown) => void;

/** Go goes through a map in any order: the causes of one map's keys, and those of one field, are put in order. */
function inKeyOrder(causes: readonly Cause[]): Cause[] {
  const mapOf = ({ field }: Cause): string => field.replace(/\[\D[^\]]*\].*$|\.matchLabels$/, '[]');
  const out: Cause[] = [];
  for (let from = 0, to; from < causes.length; from = to) {
    const map = mapOf(causes[from] as Cause);
    for (to = from + 1; to < causes.length && mapOf(causes[to] as Cause) === map;) to++;
    const run = causes.slice(from, to);
    out.push(...run.sort((a, b) => (causeText(a) < causeText(b) ? -1 : 1)));
  }
  return out;
}

function compareCauses(upstream: readonly Cause[], all: readonly Cause[], add: Add): void {
  // Upstream repeats a cause that two of its rules find; here it is said once.
  const texts = (causes: readonly Cause[]): string[] => [...new Set(causes.map(causeText))];
  const same = (a: Cause, b: Cause): boolean =>
    a.field === b.field && a.reason === b.reason && sameMessage(a.message, b.message);
  // Where only the printed struct differs, go on with upstream's.
  const ours = all.map((cause) => upstream.find((other) => same(other, cause)) ?? cause);
  const [theirs, own] = [texts(inKeyOrder(upstream)), texts(inKeyOrder(ours))];
  const missing = upstream.filter((cause) => !own.includes(causeText(cause)));
  const extra = ours.filter((cause) => !theirs.includes(causeText(cause)));
  for (const cause of missing) {
    const twin = extra.findIndex(({ field, reason }) => field === cause.field && reason === cause.reason);
    if (twin < 0) {
      const group = `cause missing: ${general(cause.field)}: ${words(cause.message)}`;
      add(group, causeText(cause), texts(ours).join(' | '));
      continue;
    }
    const [other] = extra.splice(twin, 1);
    const group = `cause text: ${general(cause.field)}: ${words(cause.message)}`;
    add(group, causeText(cause), causeText(other as Cause));
  }
  for (const cause of extra)
    add(
      `cause extra: ${general(cause.field)}: ${words(cause.message)}`,
      theirs.join(' | '),
      causeText(cause),
    );
  if (missing.length > 0 || extra.length > 0 || isDeepStrictEqual(theirs, own)) return;
  const kind = theirs.length === own.length ? 'order' : 'number';
  add(`causes in another ${kind}`, theirs.join(' | '), own.join(' | '));
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

function compareBodies(upstream: unknown, ours: unknown, path: string, add: Add): void {
  if (isDeepStrictEqual(upstream, ours)) return;
  // Go writes null for a time, list or map that is not set and has no `omitempty`; ours is left out, or empty.
  if (upstream === null && isEmpty(ours)) return;
  const object = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (object(upstream) && object(ours)) {
    for (const name of new Set([...Object.keys(upstream), ...Object.keys(ours)])) {
      const at = path === '' ? name : `${path}.${name}`;
      if (!(name in ours) && upstream[name] === null) continue;
      if (!(name in ours)) add(`body: ${general(at)} only upstream`, upstream[name], undefined);
      else if (!(name in upstream)) add(`body: ${general(at)} only ours`, undefined, ours[name]);
      else compareBodies(upstream[name], ours[name], at, add);
    }
    return;
  }
  if (Array.isArray(upstream) && Array.isArray(ours) && upstream.length === ours.length) {
    for (const [i, item] of upstream.entries()) compareBodies(item, ours[i], `${path}[${i}]`, add);
    return;
  }
  if (Array.isArray(upstream) && Array.isArray(ours) && compareByName(upstream, ours, path, add)) return;
  add(`body: ${general(path)} differs`, upstream, ours);
}

/** What an item of a list of another length is found by in the other list. */
function nameOf(item: unknown): string | undefined {
  if (typeof item === 'string') return item;
  const { name, resource, version, subresource, metadata } = (item ?? {}) as Record<string, unknown>;
  const found =
    name ?? resource ?? subresource ?? (metadata as { name?: unknown } | undefined)?.name ?? version;
  return typeof found === 'string' ? found : undefined;
}

/** Lists of unlike length, of items that have names: what only one of them has, and in what the others differ. */
function compareByName(upstream: unknown[], ours: unknown[], path: string, add: Add): boolean {
  const [theirs, own] = [upstream, ours].map((list) => new Map(list.map((item) => [nameOf(item), item])));
  if (!theirs || !own || theirs.has(undefined) || own.has(undefined)) return false;
  if (theirs.size !== upstream.length || own.size !== ours.length) return false;
  for (const [name, item] of theirs)
    if (own.has(name)) compareBodies(item, own.get(name), `${path}[]`, add);
    else add(`body: ${general(path)}[] only upstream: ${name}`, item, undefined);
  for (const [name, item] of own)
    if (!theirs.has(name)) add(`body: ${general(path)}[] only ours: ${name}`, undefined, item);
  return true;
}

const isStatus = (body: unknown): body is StatusBody => (body as StatusBody | null)?.kind === 'Status';

const warningsOf = (answer: Answer): string[] => {
  const header = answer.headers['warning'];
  const text = Array.isArray(header) ? header.join(', ') : (header ?? '');
  return [...text.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map((match) => normalText(match[1] as string));
};

/** Everything in which the answers to one request differ. */
export function compare(one: Case, ask: Ask, upstream: Answer, ours: Answer): Difference[] {
  const found: Difference[] = [];
  const show = (value: unknown): string =>
    (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent')).slice(0, 1500);
  const add: Add = (group, theirs, own) =>
    found.push({
      group,
      family: one.family,
      kind: one.kind,
      name: one.name,
      request: `${ask.method} ${ask.path}`,
      upstream: show(theirs),
      ours: show(own),
    });
  const [theirs, own] = [parsed(upstream), parsed(ours)];
  if (upstream.status !== ours.status) {
    const codes = `${upstream.status} here ${ours.status}`;
    const about = ours.status >= 400 && upstream.status < 400 ? complaint(own) : complaint(theirs);
    add(
      `code: ${codes}: ${about}`,
      upstream.status < 400 ? upstream.status : theirs,
      ours.status < 400 ? ours.status : own,
    );
    return found;
  }
  for (const text of warningsOf(upstream).filter((each) => !warningsOf(ours).includes(each)))
    add(`warning missing: ${words(text)}`, text, warningsOf(ours).join(' | '));
  for (const text of warningsOf(ours).filter((each) => !warningsOf(upstream).includes(each)))
    add(`warning extra: ${words(text)}`, warningsOf(upstream).join(' | '), text);
  for (const name of one.headers ?? ['content-type']) {
    if (upstream.headers[name] !== ours.headers[name])
      add(`header: ${name}`, upstream.headers[name] ?? 'absent', ours.headers[name] ?? 'absent');
  }
  const causes = isStatus(theirs) && isStatus(own) ? [theirs.details?.causes, own.details?.causes] : [];
  if (causes[0]?.length && !isDeepStrictEqual(causes[0], causes[1])) {
    compareCauses(causes[0], causes[1] ?? [], add);
    return found;
  }
  if (isStatus(theirs) && isStatus(own) && theirs.message !== own.message) {
    add(`message: ${words(theirs.message ?? '')}`, theirs.message, own.message);
    return found;
  }
  compareBodies(theirs, own, '', add);
  return found;
}
