/** What one frontend and one address are in the kernel: pure texts. */
import { tableFamily, tableName } from '../nft/table.ts';
import { endpointKey } from './endpoints.ts';
import { type Family, familyOf } from './ip.ts';
import { type EndpointAddress, type Frontend, frontendKey, type ServedAddress } from './model.ts';

const at = `${tableFamily} ${tableName}`;

/** One element of a map or (without a value) of a set. */
interface Element {
  holder: string;
  key: string;
  value?: string | undefined;
}

/** Which chains a frontend needs; they are shared by all that need the same. */
export type Choice = 'spread' | 'affine';
export const choiceOf = (frontend: Frontend): Choice =>
  frontend.affinitySeconds === undefined ? 'spread' : 'affine';
export const pickChain = (group: 'all' | 'local', choice: Choice, count: number, family: Family): string =>
  `services-${group}-${choice}${family}-${count}`;
/** Without the family's digit, as all names of maps and sets here. */
export const stickySet = (seconds: number): string => `services-sticky-${seconds}s-`;

/** Everywhere a frontend sends anybody to, each endpoint once. */
export function reachable(frontend: Frontend): EndpointAddress[] {
  if (typeof frontend.outside === 'string') return frontend.endpoints;
  const all = new Map([...frontend.endpoints, ...frontend.outside].map((one) => [endpointKey(one), one]));
  return [...all.values()];
}

function elementsOf(frontend: Frontend): Element[] {
  const { endpoints, outside, sources, affinitySeconds } = frontend;
  const key = frontendKey(frontend);
  const family = familyOf(frontend.ip);
  const list: Element[] = [];
  const put = (name: string, suffix = '', value?: string): void =>
    void list.push({ holder: `${name}${family}`, key: `${key}${suffix}`, value });
  for (const block of sources ?? []) put('services-allowed', ` . ${block}`);
  if (sources) put('services-restricted');
  if (endpoints.length === 0) {
    put('services-unavailable');
    return list;
  }
  const choice = choiceOf(frontend);
  if (affinitySeconds !== undefined && family === 4)
    for (const one of reachable(frontend)) put(stickySet(affinitySeconds), ` . ${endpointKey(one)}`);
  endpoints.forEach((one, i) => put('services-endpoints', ` . ${i}`, endpointKey(one)));
  if (outside === 'masqueraded') put('services-masqueraded');
  if (typeof outside !== 'string') {
    outside.forEach((one, i) => put('services-local-endpoints', ` . ${i}`, endpointKey(one)));
    const chain = pickChain('local', choice, outside.length, family);
    put('services-outside', '', outside.length === 0 ? 'drop' : `goto ${chain}`);
  }
  put('services-frontends', '', `goto ${pickChain('all', choice, endpoints.length, family)}`);
  return list;
}

const addressElement = ({ ip, kind }: ServedAddress): Element => ({
  holder: `services-${kind}${familyOf(ip)}`,
  key: ip,
});

/** Elements in one command; more would only make nft's own lists long. */
const perCommand = 1000;

/** The commands for these elements, grouped: each command costs nft much more than an element does. */
function commands(verb: 'add' | 'delete', elements: Iterable<Element>): string[] {
  const lines: string[] = [];
  const waiting = new Map<string, string[]>();
  const flush = (holder: string, texts: string[]): void =>
    void lines.push(`${verb} element ${at} ${holder} { ${texts.splice(0).join(', ')} }`);
  for (const { holder, key, value } of elements) {
    let texts = waiting.get(holder);
    if (!texts) waiting.set(holder, (texts = []));
    texts.push(value === undefined || verb === 'delete' ? key : `${key} : ${value}`);
    if (texts.length >= perCommand) flush(holder, texts);
  }
  for (const [holder, texts] of waiting) if (texts.length > 0) flush(holder, texts);
  return lines;
}

/** What leads from one state of some frontends and addresses to another. */
export class ElementChange {
  readonly #steps: Array<{ before: () => Element[]; after: () => Element[] }> = [];

  frontend(before: Frontend | undefined, after: Frontend | undefined): void {
    this.#steps.push({
      before: () => (before ? elementsOf(before) : []),
      after: () => (after ? elementsOf(after) : []),
    });
  }

  address(before: ServedAddress | undefined, after: ServedAddress | undefined): void {
    this.#steps.push({
      before: () => (before ? [addressElement(before)] : []),
      after: () => (after ? [addressElement(after)] : []),
    });
  }

  /** One transaction: what goes first, so that what comes finds its place free. Only what differs is in it. */
  script(): string {
    const removed: Element[] = [];
    const added: Element[] = [];
    const textOf = ({ holder, key, value }: Element): string => `${holder} ${key} : ${value ?? ''}`;
    for (const step of this.#steps) {
      const [before, after] = [step.before(), step.after()];
      const old = new Set(before.map(textOf));
      const next = new Set(after.map(textOf));
      for (const element of before) if (!next.has(textOf(element))) removed.push(element);
      for (const element of after) if (!old.has(textOf(element))) added.push(element);
    }
    return [...commands('delete', removed), ...commands('add', added)].join('\n');
  }
}

/** The commands that put all of these into maps and sets that are empty. */
export function additions(frontends: Iterable<Frontend>, addresses: Iterable<ServedAddress>): string[] {
  function* all(): Iterable<Element> {
    for (const frontend of frontends) yield* elementsOf(frontend);
    for (const address of addresses) yield addressElement(address);
  }
  return commands('add', all());
}
