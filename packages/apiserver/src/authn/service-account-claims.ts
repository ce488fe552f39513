import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
/** What identifies an object for as long as it exists. */
export interface ObjectReference {
  name: string;
  uid: string;
}

/** The private claim `kubernetes.io` of a service account token (upstream: pkg/serviceaccount/claims.go). */
export interface KubernetesClaims {
  namespace: string;
  serviceaccount: ObjectReference;
  pod?: ObjectReference;
  secret?: ObjectReference;
  /** Beside `pod`: where it runs, for information. Alone: what the token is bound to. The uid may be unknown. */
  node?: { name: string; uid?: string };
  /** Seconds since the epoch after which the client should have taken a new token. */
  warnafter?: number;
}

/** Claims of a token, checked in form. Times are seconds since the epoch. */
export interface TokenClaims {
  exp: number;
  nbf: number;
  iat: number;
  jti: string | undefined;
  aud: readonly string[];
  kubernetes: KubernetesClaims;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const time = (value: unknown, otherwise: number): number | undefined =>
  value === undefined ? otherwise : typeof value === 'number' && Number.isFinite(value) ? value : undefined;

function reference(value: unknown): ObjectReference | undefined {
  if (!isJsonObject(value)) return undefined;
  const [name, uid] = [text(value['name']), text(value['uid'])];
  return name !== undefined && uid !== undefined ? { name, uid } : undefined;
}

function kubernetesClaims(value: unknown): KubernetesClaims | undefined {
  if (!isJsonObject(value)) return undefined;
  const namespace = text(value['namespace']);
  const serviceaccount = reference(value['serviceaccount']);
  if (namespace === undefined || !serviceaccount) return undefined;
  const claims: KubernetesClaims = { namespace, serviceaccount };
  for (const kind of ['pod', 'secret'] as const) {
    if (value[kind] === undefined) continue;
    const bound = reference(value[kind]);
    if (!bound) return undefined;
    claims[kind] = bound;
  }
  if (value['node'] !== undefined) {
    const name = isJsonObject(value['node']) ? text(value['node']['name']) : undefined;
    if (name === undefined) return undefined;
    const uid = text((value['node'] as JsonObject)['uid']);
    claims.node = { name, ...(uid === undefined ? {} : { uid }) };
  }
  return claims;
}

/** Reads the claims of a verified token; undefined when something that must be there is missing or malformed. */
export function readClaims(claims: JsonObject): TokenClaims | undefined {
  const kubernetes = kubernetesClaims(claims['kubernetes.io']);
  const exp = time(claims['exp'], Number.NaN);
  const nbf = time(claims['nbf'], 0);
  const iat = time(claims['iat'], 0);
  const given = claims['aud'] ?? [];
  const aud = Array.isArray(given) ? given : [given];
  if (!kubernetes || exp === undefined || Number.isNaN(exp) || nbf === undefined || iat === undefined)
    return undefined;
  if (!aud.every((audience) => typeof audience === 'string')) return undefined;
  const subject = `system:serviceaccount:${kubernetes.namespace}:${kubernetes.serviceaccount.name}`;
  if (claims['sub'] !== subject) return undefined;
  return { exp, nbf, iat, jti: text(claims['jti']), aud: aud, kubernetes };
}
