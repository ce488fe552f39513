/** What one frontend and one address are in the kernel: pure texts. */
import { tableFamily, tableName } from '../nft/table.ts';
import { endpointKey } from './endpoints.ts';
import { type Family, familyOf } from './ip.ts';
import { type EndpointAddress, type Frontend, frontendKey, type ServedAddress } from './model.ts';

const at = `${tableFamily} ${tableName}`;

/** Elements of one map or set. */
interface Elements {
  /** Without the family's digit. */
  holder: string;
  elements: Array<{ key: string; value?: string }>;
}

/** Which chains a frontend needs; they are shared by all that need the same. */
export type Choice = 'spread' | 'affine';
export const choiceOf = (frontend: Frontend): Choice =>
  frontend.affinitySeconds === undefined ? 'spread' : 'affine';
export const pickChain = (group: 'all' | 'local', choice: Choice, count: number, family: Family): string =>
  `services-${group}-${choice}${family}-${count}`;
export const rememberChain = (seconds: number): string => `services-remember4-${seconds}`;

/** Everywhere a frontend sends anybody to, each endpoint once. */
export function reachable(frontend: Frontend): EndpointAddress[] {
  if (typeof frontend.outside === 'string') return frontend.endpoints;
  const all = new Map([...frontend.endpoints, ...frontend.outside].map((one) => [endpointKey(one), one]));
  return [...all.values()];
}

/** In the order in which they are added; removal goes backwards. */
function elementsOf(frontend: Frontend): Elements[] {
  const { endpoints, outside, sources, affinitySeconds } = frontend;
  const key = frontendKey(frontend);
  const family = familyOf(frontend.ip);
  const list: Elements[] = [];
  const put = (holder: string, elements: Elements['elements']): void => {
    if (elements.length > 0) list.push({ holder, elements });
  };
  const targets = (all: readonly EndpointAddress[]): Elements['elements'] =>
    all.map((endpoint, i) => ({ key: `${key} . ${i}`, value: endpointKey(endpoint) }));
  if (sources) {
    put(
      'services-allowed',
      sources.map((block) => ({ key: `${key} . ${block}` })),
    );
    put('services-restricted', [{ key }]);
  }
  if (endpoints.length === 0) {
    put('services-unavailable', [{ key }]);
    return list;
  }
  const choice = choiceOf(frontend);
  if (affinitySeconds !== undefined && family === 4) {
    const value = `goto ${rememberChain(affinitySeconds)}`;
    put(
      'services-sticky',
      reachable(frontend).map((one) => ({ key: `${key} . ${endpointKey(one)}`, value })),
    );
  }
  put('services-endpoints', targets(endpoints));
  if (outside !== 'same') {
    const value = outside === 'masqueraded' ? 'goto services-from-node' : 'goto services-own-from-node';
    put('services-sources', [{ key, value: `${value}${family}` }]);
  }
  if (typeof outside !== 'string') {
    put('services-local-endpoints', targets(outside));
    const value =
      outside.length === 0 ? 'drop' : `goto ${pickChain('local', choice, outside.length, family)}`;
    put('services-outside', [{ key, value }]);
  }
  put('services-frontends', [{ key, value: `goto ${pickChain('all', choice, endpoints.length, family)}` }]);
  return list;
}

const command = (verb: 'add' | 'delete', holder: string, elements: Elements['elements']): string => {
  const texts = elements.map(({ key, value }) =>
    value === undefined || verb === 'delete' ? key : `${key} : ${value}`,
  );
  return `${verb} element ${at} ${holder} { ${texts.join(', ')} }`;
};

/** The commands that put a frontend into the kernel. */
export function addition(frontend: Frontend): string[] {
  const family = familyOf(frontend.ip);
  return elementsOf(frontend).map(({ holder, elements }) => command('add', `${holder}${family}`, elements));
}

/** The commands that take it out again. */
export function removal(frontend: Frontend): string[] {
  const family = familyOf(frontend.ip);
  return elementsOf(frontend)
    .toReversed()
    .map(({ holder, elements }) => command('delete', `${holder}${family}`, elements));
}

/** The command that puts an address into the kernel, or takes it out. */
export function addressCommand(verb: 'add' | 'delete', { ip, kind }: ServedAddress): string {
  return command(verb, `services-${kind}${familyOf(ip)}`, [{ key: ip }]);
}

/** Elements in one command; more would only make nft's own lists long. */
const perCommand = 1000;

/** The commands that put all of these into maps and sets that are empty: few, as each costs nft much more than an element does. */
export function additions(frontends: Iterable<Frontend>, addresses: Iterable<ServedAddress>): string[] {
  const commands: string[] = [];
  const waiting = new Map<string, Elements['elements']>();
  const put = (holder: string, elements: Elements['elements']): void => {
    const all = waiting.get(holder) ?? [];
    waiting.set(holder, all);
    all.push(...elements);
    if (all.length >= perCommand) commands.push(command('add', holder, all.splice(0)));
  };
  for (const frontend of frontends) {
    const family = familyOf(frontend.ip);
    for (const { holder, elements } of elementsOf(frontend)) put(`${holder}${family}`, elements);
  }
  for (const { ip, kind } of addresses) put(`services-${kind}${familyOf(ip)}`, [{ key: ip }]);
  for (const [holder, elements] of waiting)
    if (elements.length > 0) commands.push(command('add', holder, elements));
  return commands;
}
