import { type FieldError, FieldPath, fieldErrors } from '@cloudless/kube/field';
import type { Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { BoundObjectReference, TokenRequest } from '@cloudless/kube/types/authentication-v1';
import type { Pod, ServiceAccount } from '@cloudless/kube/types/core-v1';
import { lookup } from '../authn/lookup.ts';
import {
  type BoundObject,
  issueServiceAccountToken,
  type TokenIssuer,
} from '../authn/service-account-tokens.ts';
import type { Caches } from '../cache/cache.ts';
import type { Endpoint, EndpointContext } from '../registry/endpoint.ts';

const kind = { group: 'authentication.k8s.io', kind: 'TokenRequest' };
const conflicting = { group: 'authentication.k8s.io', plural: 'TokenRequest' };
const defaultExpirationSeconds = 3600;
const minExpirationSeconds = 600;
const maxExpirationSeconds = 2 ** 32;
/**
 * What the service account admission asks for in every pod. Such a token goes on working for a year after it should
 * have been renewed, for clients that read it only once (upstream: --service-account-extend-token-expiration).
 */
const podTokenSeconds = 3607;
const extendedSeconds = 365 * 24 * 3600;

function expirationErrors(seconds: number): FieldError[] {
  const path = FieldPath.of('spec', 'expirationSeconds');
  if (seconds < minExpirationSeconds)
    return [fieldErrors.invalid(path, seconds, 'may not specify a duration less than 10 minutes')];
  if (seconds > maxExpirationSeconds)
    return [fieldErrors.invalid(path, seconds, 'may not specify a duration larger than 2^32 seconds')];
  return [];
}

function metadataErrors(body: TokenRequest, { name, namespace }: EndpointContext): FieldError[] {
  const path = FieldPath.of('metadata');
  const { name: givenName, namespace: givenNamespace } = body.metadata;
  if (givenName && givenName !== name)
    return [
      fieldErrors.invalid(path.child('name'), givenName, 'must match the service account name if specified'),
    ];
  if (givenNamespace && givenNamespace !== namespace)
    return [
      fieldErrors.invalid(
        path.child('namespace'),
        givenNamespace,
        'must match the service account namespace if specified',
      ),
    ];
  return [];
}

async function nodeOf(caches: Caches, nodeName: string): Promise<BoundObject['node']> {
  const node = await lookup(caches, core.nodes, { namespace: '', name: nodeName });
  return { name: nodeName, ...(node?.metadata.uid === undefined ? {} : { uid: node.metadata.uid }) };
}

const bindable: ReadonlyMap<string, Resource> = new Map(
  Object.entries<Resource>({
    Pod: core.pods,
    Node: core.nodes,
    Secret: core.secrets,
  }),
);

/** Finds what the token shall be bound to; throws when it is not there or is another than the one meant. */
async function boundObject(
  caches: Caches,
  account: ServiceAccount,
  reference: BoundObjectReference,
): Promise<BoundObject> {
  const name = reference.name ?? '';
  const namespace = account.metadata.namespace ?? '';
  const apiVersion = reference.apiVersion ?? '';
  const boundTo: Resource | undefined = bindable.get(reference.kind ?? '');
  if (apiVersion.includes('/') || !boundTo) {
    const shown = apiVersion.includes('/') ? apiVersion : `/${apiVersion}`;
    throw errors.badRequest(`cannot bind token to object of type ${shown}, Kind=${reference.kind ?? ''}`);
  }
  const at = { namespace: boundTo.namespaced ? namespace : '', name, uid: reference.uid };
  const object = await lookup(caches, boundTo, at);
  if (!object) throw errors.notFound(boundTo, name);
  const bound: BoundObject = {
    kind: boundTo.kind as BoundObject['kind'],
    name,
    uid: object.metadata.uid ?? '',
  };
  if (boundTo.kind === 'Pod') {
    const { spec } = object as Pod;
    if (spec?.serviceAccountName !== account.metadata.name)
      throw errors.badRequest(
        `cannot bind token for serviceaccount "${account.metadata.name}" to pod running with different serviceaccount name.`,
      );
    if (spec?.nodeName) bound.node = await nodeOf(caches, spec.nodeName);
  }
  if (reference.uid && reference.uid !== bound.uid)
    throw errors.conflict(
      { group: '', plural: boundTo.kind },
      name,
      `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  return bound;
}

/** `serviceaccounts/NAME/token` (upstream: pkg/registry/core/serviceaccount/storage/token.go). */
export function tokenRequestEndpoint(issuer: TokenIssuer): Endpoint {
  return {
    resource: core.serviceaccounts,
    subresource: 'token',
    body: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
    async handle(context, body): Promise<TokenRequest> {
      const request = body as TokenRequest;
      const { caches, namespace, name, nowMs } = context;
      const wrong = metadataErrors(request, context);
      if (wrong.length > 0) throw errors.invalid(kind, name, wrong);
      const { uid } = request.metadata;
      const account = await lookup(caches, core.serviceaccounts, { namespace, name, uid });
      if (!account) throw errors.notFound(core.serviceaccounts, name);
      if (uid && uid !== account.metadata.uid)
        throw errors.conflict(
          conflicting,
          name,
          `the UID in the token request (${uid}) does not match the UID of the service account (${account.metadata.uid})`,
        );
      const spec = { ...request.spec };
      const expirationSeconds = spec.expirationSeconds ?? defaultExpirationSeconds;
      const bad = expirationErrors(expirationSeconds);
      if (bad.length > 0) throw errors.invalid(kind, '', bad);
      const audiences = spec.audiences?.length ? spec.audiences : [...issuer.defaultAudiences];
      const bound = spec.boundObjectRef ? await boundObject(caches, account, spec.boundObjectRef) : undefined;
      const extended =
        bound?.kind === 'Pod' &&
        expirationSeconds === podTokenSeconds &&
        audiences.every((audience) => issuer.defaultAudiences.includes(audience));
      const { token, id } = issueServiceAccountToken(issuer, {
        account,
        audiences,
        expirationSeconds: extended ? extendedSeconds : expirationSeconds,
        warnAfterSeconds: extended ? expirationSeconds : undefined,
        bound,
        nowMs,
      });
      context.annotate?.('authentication.kubernetes.io/issued-credential-id', `JTI=${id}`);
      return {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: {
          name,
          namespace,
          uid: account.metadata.uid ?? '',
          creationTimestamp: formatTime(nowMs),
        },
        spec: { ...spec, audiences, expirationSeconds },
        status: { token, expirationTimestamp: formatTime(nowMs + expirationSeconds * 1000) },
      };
    },
  };
}
