import { randomInt } from 'node:crypto';
import type { Clock } from '@cloudless/kube/clock';
import type { Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Container, Pod, PodSpec, ServiceAccount, Volume } from '@cloudless/kube/types/core-v1';
import { lookup } from '../authn/lookup.ts';
import type { Caches } from '../cache/cache.ts';
import { podReferences } from '../authz/node/references.ts';
import { forbidden, isMirrorPod, isPod } from './forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './plugin.ts';

const volumePrefix = 'kube-api-access-';
const tokenMountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
/** An hour and 7 s: tells tokens that admission asked for from others (upstream: WarnOnlyBoundTokenExpirationSeconds). */
const tokenExpirationSeconds = 3607;
const projectedMode = 0o644;
const enforceMountableSecrets = 'kubernetes.io/enforce-mountable-secrets';
/** The default account of a new namespace is made by a controller, a moment later. */
const defaultAccountWaitMs = 1_500;

/** Upstream's alphabet of generated names: no vowels, nothing that looks like another. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const suffix = (): string => Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('');

/**
 * Gives every pod a service account that exists, its token and its pull secrets (upstream:
 * plugin/pkg/admission/serviceaccount).
 */
export class ServiceAccountAdmission implements AdmissionPlugin {
  readonly name = 'ServiceAccount';
  readonly #caches: Caches;
  readonly #clock: Clock;

  constructor(options: { caches: Caches; clock: Clock }) {
    this.#caches = options.caches;
    this.#clock = options.clock;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    if (operation === 'CREATE') return isPod(resource, subresource);
    return operation === 'UPDATE' && resource.plural === 'pods' && subresource === 'ephemeralcontainers';
  }

  async admit(request: AdmissionRequest): Promise<void> {
    const pod = request.object as Pod;
    // A mirror pod is a copy of what the kubelet has: changing it would make the kubelet replace it.
    if (request.operation === 'CREATE' && isMirrorPod(pod)) return await this.validate(request);
    if (request.operation !== 'CREATE' || !pod.spec) return;
    const { spec } = pod;
    spec.serviceAccountName ||= 'default';
    spec.serviceAccount = spec.serviceAccountName;
    const account = await this.#account(request, spec.serviceAccountName);
    if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec);
    const pullSecrets = account.imagePullSecrets ?? [];
    if ((spec.imagePullSecrets ?? []).length === 0 && pullSecrets.length > 0)
      spec.imagePullSecrets = pullSecrets.map(({ name }) => (name === undefined ? {} : { name }));
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const pod = request.object as Pod;
    if (request.operation === 'CREATE' && isMirrorPod(pod)) {
      const why = mirrorPodProblem(pod);
      if (why !== undefined) throw forbidden(request, why);
      return;
    }
    const name = pod.spec?.serviceAccountName ?? '';
    if (name === '')
      throw forbidden(
        request,
        `no service account specified for pod ${request.namespace}/${pod.metadata.name ?? ''}`,
      );
    const account = await this.#account(request, name);
    if (!isTrue(account.metadata.annotations?.[enforceMountableSecrets])) return;
    const why =
      request.operation === 'CREATE' ? unlistedSecret(account, pod) : unlistedInEphemeral(account, pod);
    if (why !== undefined) throw forbidden(request, why);
  }

  async #account(request: AdmissionRequest, name: string): Promise<ServiceAccount> {
    const { namespace } = request;
    const found =
      (await lookup(this.#caches, core.serviceaccounts, { namespace, name })) ??
      (name === 'default' ? await this.#appears(namespace, name) : undefined);
    if (found) return found;
    const { message } = errors.notFound({ group: '', plural: 'serviceaccount' }, name);
    throw forbidden(request, `error looking up service account ${namespace}/${name}: ${message}`);
  }

  #appears(namespace: string, name: string): Promise<ServiceAccount | undefined> {
    const cache = this.#caches.of(core.serviceaccounts);
    return new Promise((resolve) => {
      const end = (account: ServiceAccount | undefined): void => {
        unsubscribe();
        timer.cancel();
        resolve(account);
      };
      const unsubscribe = cache.subscribe(({ type, object }) => {
        const { metadata } = object;
        if (type !== 'deleted' && metadata.namespace === namespace && metadata.name === name) end(object);
      });
      const timer = this.#clock.setTimeout(() => end(undefined), defaultAccountWaitMs);
      const already = cache.get(namespace, name);
      if (already) end(already);
    });
  }
}

const isTrue = (text: string | undefined): boolean =>
  ['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text ?? '');

/** The volume of a pod's credentials, as upstream makes it: token, CA, namespace. */
const tokenVolume = (name: string): Volume => ({
  name,
  projected: {
    defaultMode: projectedMode,
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: tokenExpirationSeconds } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  },
});

function mountToken(spec: PodSpec): void {
  const existing = spec.volumes?.find(({ name }) => name.startsWith(volumePrefix));
  const name = existing?.name ?? `${volumePrefix}${suffix()}`;
  let needed = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === tokenMountPath)) continue;
    container.volumeMounts = [
      ...(container.volumeMounts ?? []),
      { name, readOnly: true, mountPath: tokenMountPath },
    ];
    needed = true;
  }
  if (!existing && needed) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
}

/** A node makes its mirror pods itself: they must give it nothing. */
function mirrorPodProblem(pod: Pod): string | undefined {
  if (pod.spec?.serviceAccountName) return 'a mirror pod may not reference service accounts';
  const { annotations: _, ...metadata } = pod.metadata;
  const named = podReferences({ ...pod, metadata });
  if ([...named].some((key) => key.startsWith('secret/'))) return 'a mirror pod may not reference secrets';
  const tokens = (pod.spec?.volumes ?? []).some(({ projected }) =>
    projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  );
  return tokens ? 'a mirror pod may not use ServiceAccountToken volume projections' : undefined;
}

function unlistedInContainers(
  account: ServiceAccount,
  what: string,
  containers: ReadonlyArray<Pick<Container, 'name' | 'env' | 'envFrom'>>,
): string | undefined {
  const allowed = new Set((account.secrets ?? []).map(({ name }) => name));
  const because = `is not allowed because service account ${account.metadata.name} does not reference that secret`;
  for (const { name, env, envFrom } of containers) {
    for (const variable of env ?? []) {
      const secret = variable.valueFrom?.secretKeyRef?.name;
      if (secret !== undefined && !allowed.has(secret))
        return `${what} ${name} with envVar ${variable.name} referencing secret.secretName="${secret}" ${because}`;
    }
    for (const { secretRef } of envFrom ?? [])
      if (secretRef?.name !== undefined && !allowed.has(secretRef.name))
        return `${what} ${name} with envFrom referencing secret.secretName="${secretRef.name}" ${because}`;
  }
  return undefined;
}

function unlistedSecret(account: ServiceAccount, { spec }: Pod): string | undefined {
  const allowed = new Set((account.secrets ?? []).map(({ name }) => name));
  for (const { secret } of spec?.volumes ?? [])
    if (secret?.secretName !== undefined && !allowed.has(secret.secretName))
      return `volume with secret.secretName="${secret.secretName}" is not allowed because service account ${account.metadata.name} does not reference that secret`;
  const inContainers =
    unlistedInContainers(account, 'init container', spec?.initContainers ?? []) ??
    unlistedInContainers(account, 'container', spec?.containers ?? []);
  if (inContainers !== undefined) return inContainers;
  const pullSecrets = new Set((account.imagePullSecrets ?? []).map(({ name }) => name));
  for (const [i, { name }] of (spec?.imagePullSecrets ?? []).entries())
    if (!pullSecrets.has(name))
      return `imagePullSecrets[${i}].name="${name}" is not allowed because service account ${account.metadata.name} does not reference that imagePullSecret`;
  return undefined;
}

const unlistedInEphemeral = (account: ServiceAccount, { spec }: Pod): string | undefined =>
  unlistedInContainers(account, 'ephemeral container', spec?.ephemeralContainers ?? []);
