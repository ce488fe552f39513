import { parseJson } from '@cloudless/kube/codec/json';
import { quote } from '@cloudless/kube/structured-merge/value';

export type ManagedOperation = 'Apply' | 'Update';

/** Who manages fields, and how: one entry of managedFields each. */
export interface Identity {
  readonly manager: string;
  readonly operation: ManagedOperation;
  /** Of updaters; an applier stays the same when it moves to another version. */
  readonly apiVersion: string;
  readonly subresource: string;
}

/**
 * The identity as one text, which is how sets are keyed and ordered (BuildManagerIdentifier of apimachinery's
 * managedfields: JSON without what is empty).
 */
export function identityText({ manager, operation, apiVersion, subresource }: Identity): string {
  let text = '{';
  if (manager !== '') text += `"manager":${quote(manager)},`;
  text += `"operation":"${operation}"`;
  if (operation === 'Update' && apiVersion !== '') text += `,"apiVersion":${quote(apiVersion)}`;
  if (subresource !== '') text += `,"subresource":${quote(subresource)}`;
  return `${text}}`;
}

/** Few programs write most of what is written. */
const identities = new Map<string, Identity>();
const maxIdentities = 1_000;

export function readIdentity(text: string): Identity {
  let identity = identities.get(text);
  if (!identity) {
    if (identities.size >= maxIdentities) identities.clear();
    identities.set(text, (identity = parseIdentity(text)));
  }
  return identity;
}

function parseIdentity(text: string): Identity {
  const { manager = '', operation, apiVersion = '', subresource = '' } = parseJson(text) as Partial<Identity>;
  return { manager, operation: operation ?? 'Update', apiVersion, subresource };
}

/** As conflicts name a manager: `"kubectl" with subresource "scale" using apps/v1`. */
export function shownManager(text: string): string {
  const { manager, operation, apiVersion, subresource } = readIdentity(text);
  const of = subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`;
  const using = operation === 'Update' ? ` using ${apiVersion}` : '';
  return `${JSON.stringify(manager)}${of}${using}`;
}

const maxManagerBytes = 128;
const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

/** The manager of a request that names none: its User-Agent up to the first `/`, printable, at most 128 bytes. */
export function managerOfUserAgent(userAgent: string): string {
  const [first = ''] = userAgent.split('/', 1);
  let manager = '';
  let bytes = 0;
  for (const character of first) {
    if (unprintable.test(character)) continue;
    bytes += Buffer.byteLength(character);
    if (bytes > maxManagerBytes) break;
    manager += character;
  }
  return manager;
}
