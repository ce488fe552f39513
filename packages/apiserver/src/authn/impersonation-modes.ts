import { dnsSubdomainErrors } from '@cloudless/kube/selector/selector';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import { forbidden } from '../request/forbidden.ts';
import type { Attributes } from '../request/info.ts';
import type { Impersonated } from '../server/options.ts';

/** Whom the headers ask for, nothing added. */
export interface Wanted {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const authenticated = 'system:authenticated';
const unauthenticated = 'system:unauthenticated';
const authenticationGroup = 'authentication.k8s.io';
const nodeNameKey = 'authentication.kubernetes.io/node-name';
const nodeKeysKey = 'authentication.kubernetes.io/associated-node-keys';
/** From so many values on, one check of all is tried before one of each. */
const manyChecks = 4;

/** One way of impersonating (KEP-5284). */
interface Mode {
  /** `serviceaccount`, …; '' is the one without constraints. */
  readonly name: string;
  applies(wanted: Wanted, requestor: UserInfo): boolean;
}

const only = ({ uid, groups, extra }: Wanted): boolean =>
  uid === '' && groups.length === 0 && Object.keys(extra).length === 0;

function nodeIn(user: string): string | undefined {
  const name = user.startsWith('system:node:') ? user.slice('system:node:'.length) : '';
  return name !== '' && dnsSubdomainErrors(name).length === 0 ? name : undefined;
}

function accountIn(user: string): { namespace: string; name: string } | undefined {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? [];
  return namespace !== undefined && name !== undefined ? { namespace, name } : undefined;
}

const associatedNode: Mode = {
  name: 'associated-node',
  applies(wanted, requestor) {
    const node = nodeIn(wanted.name);
    const own = requestor.extra?.[nodeNameKey];
    return (
      node !== undefined &&
      only(wanted) &&
      accountIn(requestor.name) !== undefined &&
      own?.length === 1 &&
      own[0] === node
    );
  },
};
const arbitraryNode: Mode = {
  name: 'arbitrary-node',
  applies: (wanted) => only(wanted) && nodeIn(wanted.name) !== undefined,
};
const serviceAccount: Mode = {
  name: 'serviceaccount',
  applies: (wanted) => only(wanted) && accountIn(wanted.name) !== undefined,
};
const userInfo: Mode = {
  name: 'user-info',
  applies: (wanted) => nodeIn(wanted.name) === undefined && accountIn(wanted.name) === undefined,
};
const unconstrained: Mode = { name: '', applies: () => true };

const modes: readonly Mode[] = [associatedNode, arbitraryNode, serviceAccount, userInfo, unconstrained];

/** One mode's checks of one request; `allow` throws 403. */
class Check {
  readonly #authorizer: Authorizer;
  readonly #requestor: UserInfo;
  readonly #mode: Mode;
  readonly #verb: string;
  readonly #constrained: boolean;

  constructor(authorizer: Authorizer, requestor: UserInfo, mode: Mode) {
    this.#authorizer = authorizer;
    this.#mode = mode;
    this.#constrained = mode.name !== '';
    this.#verb = this.#constrained ? `impersonate:${mode.name}` : 'impersonate';
    // What else is known of the account differs from pod to pod, and is no ground for a decision about its node.
    this.#requestor =
      mode === associatedNode
        ? { ...requestor, extra: { [nodeKeysKey]: Object.keys(requestor.extra ?? {}).sort() } }
        : requestor;
  }

  /** The user to go on as. Throws 403 for the first thing that is not allowed. */
  user(wanted: Wanted, request: Attributes): Impersonated {
    if (this.#constrained)
      this.#allow({
        ...request,
        user: this.#requestor,
        verb: `impersonate-on:${this.#mode.name}:${request.verb}`,
      });
    const groups = this.#name(wanted);
    if (wanted.uid !== '')
      this.#allow(this.#attributes({ group: authenticationGroup, resource: 'uids', name: wanted.uid }));
    this.#groups(wanted.groups);
    this.#extra(wanted.extra);
    const { name, uid, extra } = wanted;
    const user = { name, groups: completed(name, groups), extra, ...(uid === '' ? {} : { uid }) };
    return { user, constraint: this.#constrained ? this.#verb : '' };
  }

  /** Checks the name; the groups that come with it, or those asked for. */
  #name({ name, groups }: Wanted): readonly string[] {
    const node = this.#constrained ? nodeIn(name) : undefined;
    const account = accountIn(name);
    const nodeName = this.#mode === associatedNode ? '*' : (node ?? '');
    const what = account
      ? { resource: 'serviceaccounts', ...account }
      : node !== undefined
        ? { resource: 'nodes', name: nodeName }
        : { resource: 'users', name };
    this.#allow(this.#attributes({ ...this.#nameGroup(), ...what }));
    if (node !== undefined) return ['system:nodes'];
    if (!account || groups.length > 0) return groups;
    return ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`];
  }

  #groups(groups: readonly string[]): void {
    if (groups.length === 0) return;
    const of = (name: string) => this.#attributes({ ...this.#nameGroup(), resource: 'groups', name });
    if (this.#constrained) {
      if (groups.includes('')) throw forbidden(of(''), 'impersonating the empty string group is not allowed');
      if (groups.includes('system:masters'))
        throw forbidden(of('system:masters'), 'impersonating the system:masters group is not allowed');
      if (groups.length >= manyChecks && this.#isAllowed(of('*'))) return;
    }
    for (const group of groups) this.#allow(of(group));
  }

  #extra(extra: Wanted['extra']): void {
    const entries = Object.entries(extra);
    if (entries.length === 0) return;
    const of = (subresource: string, name: string) =>
      this.#attributes({ group: authenticationGroup, resource: 'userextras', subresource, name });
    if (this.#constrained) {
      const wrong = wrongExtra(extra);
      if (wrong !== undefined) throw forbidden(of('', ''), wrong);
      const values = entries.reduce((count, [, list]) => count + list.length, 0);
      if (values >= manyChecks && this.#isAllowed(of('*', '*'))) return;
    }
    for (const [key, values] of entries) for (const value of values) this.#allow(of(key, value));
  }

  /** Names and groups of the unconstrained mode are in the core group. */
  #nameGroup(): { group: string } {
    return { group: this.#constrained ? authenticationGroup : '' };
  }

  #attributes(what: Partial<Attributes>): Attributes {
    return {
      user: this.#requestor,
      isResource: true,
      verb: this.#verb,
      path: '',
      apiPrefix: '',
      group: '',
      version: 'v1',
      namespace: '',
      resource: '',
      subresource: '',
      name: '',
      ...what,
    };
  }

  #isAllowed(attributes: Attributes): boolean {
    return this.#authorizer.authorize(attributes).verdict === 'allow';
  }

  #allow(attributes: Attributes): void {
    const { verdict, reason } = this.#authorizer.authorize(attributes);
    if (verdict !== 'allow') throw forbidden(attributes, reason);
  }
}

/** What constrained modes do not take in extras. */
function wrongExtra(extra: Wanted['extra']): string | undefined {
  for (const [key, values] of Object.entries(extra)) {
    if (key === '') return 'impersonating the empty string key in extra is not allowed';
    const [domain = '', ...path] = key.split('/');
    const wrong =
      path.length === 0 || path.join('/') === ''
        ? ['must be a domain-prefixed path (such as "acme.io/foo")']
        : [];
    wrong.push(...dnsSubdomainErrors(domain));
    if (wrong.length > 0)
      return `impersonating an invalid key in extra is not allowed: key: Invalid value: ${JSON.stringify(key)}: ${wrong[0]}`;
    if (key !== key.toLowerCase())
      return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    if (values.length === 0) return 'impersonating empty values in extra is not allowed';
    if (values.includes('')) return 'impersonating the empty string value in extra is not allowed';
  }
  return undefined;
}

/** Groups with whether the user is known at all. */
function completed(name: string, groups: readonly string[]): readonly string[] {
  if (groups.includes(unauthenticated)) return groups;
  const last = name === 'system:anonymous' ? unauthenticated : authenticated;
  return groups.includes(last) ? groups : [...groups, last];
}

/**
 * The user to go on as, by the first mode that allows it: those with constraints, then the old one, which allows an
 * impersonation for every request (upstream: endpoints/filters/impersonation). Throws the 403 of the first mode.
 */
export function impersonatedBy(authorizer: Authorizer, wanted: Wanted, request: Attributes): Impersonated {
  let first: unknown;
  for (const mode of modes) {
    if (!mode.applies(wanted, request.user)) continue;
    try {
      return new Check(authorizer, request.user, mode).user(wanted, request);
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}
