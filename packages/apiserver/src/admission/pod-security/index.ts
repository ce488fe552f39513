import { isDeepStrictEqual } from 'node:util';
import { FieldPath, fieldErrors } from '@cloudless/kube/field';
import { groupResourceOf, type Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Namespace, Pod, PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import { lookup } from '../../authn/lookup.ts';
import type { Caches } from '../../cache/cache.ts';
import { forbidden } from '../forbid.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from '../plugin.ts';
import { baselineChecks } from './baseline.ts';
import { levels, type LevelVersion, policyOf } from './policy.ts';
import { restrictedChecks } from './restricted.ts';
import type { Violation } from './words.ts';

/** Subresources of pods that leave the spec alone. */
const harmless: ReadonlySet<string> = new Set([
  'exec',
  'attach',
  'binding',
  'eviction',
  'log',
  'portforward',
  'proxy',
  'status',
]);
const controllers: ReadonlySet<string> = new Set([
  'replicationcontrollers',
  'podtemplates',
  'replicasets.apps',
  'deployments.apps',
  'statefulsets.apps',
  'daemonsets.apps',
  'jobs.batch',
  'cronjobs.batch',
]);
const annotationPrefix = 'pod-security.kubernetes.io/';
/** How many existing pods a namespace's new level is held against. */
const podsToCheck = 3000;

/** What a pod does against a level; none for `privileged`. */
export function violations(pod: Pick<Pod, 'metadata' | 'spec'>, { level, minor }: LevelVersion): Violation[] {
  const checks = { privileged: [], baseline: baselineChecks, restricted: restrictedChecks }[level];
  return checks.map((check) => check(pod, minor)).filter((found) => found !== undefined);
}

const text = (found: readonly Violation[]): string =>
  found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ');

/**
 * The Pod Security Standards, as namespaces ask for them by label (KEP-2579; upstream: pod-security-admission).
 * `enforce` refuses pods, `warn` warns of pods and of what makes them, `audit` notes them in the audit log.
 */
export class PodSecurity implements AdmissionPlugin {
  readonly name = 'PodSecurity';
  readonly #caches: Caches;

  constructor(options: { caches: Caches }) {
    this.#caches = options.caches;
  }

  handles(operation: Operation, resource: Resource, subresource: string): boolean {
    if (operation !== 'CREATE' && operation !== 'UPDATE') return false;
    const name = groupResourceOf(resource);
    if (name === 'pods') return !harmless.has(subresource);
    return subresource === '' && (name === 'namespaces' || controllers.has(name));
  }

  async validate(request: AdmissionRequest): Promise<void> {
    const name = groupResourceOf(request.resource);
    if (name === 'namespaces') return await this.#namespace(request);
    const namespace = await lookup(this.#caches, core.namespaces, { namespace: '', name: request.namespace });
    const { enforce, audit, warn } = policyOf(namespace?.metadata.labels).policy;
    if (name === 'pods') request.annotate?.(`${annotationPrefix}enforce-policy`, enforce.text);
    const audited = request.annotate !== undefined && audit.level !== 'privileged';
    if (enforce.level === 'privileged' && warn.level === 'privileged' && !audited) return;
    const pod = name === 'pods' ? (request.object as Pod) : templateOf(request);
    if (!pod) return;
    if (name === 'pods' && request.oldObject && !changesSecurity(pod, request.oldObject)) return;
    const noted = audited ? violations(pod, audit) : [];
    if (noted.length > 0)
      request.annotate?.(
        `${annotationPrefix}audit-violations`,
        `would violate PodSecurity "${audit.text}": ${text(noted)}`,
      );
    if (name === 'pods') {
      const found = violations(pod, enforce);
      if (found.length > 0)
        throw forbidden(request, `violates PodSecurity "${enforce.text}": ${text(found)}`);
    }
    const warned = violations(pod, warn);
    if (warned.length > 0) request.warn(`would violate PodSecurity "${warn.text}": ${text(warned)}`);
  }

  /** Labels must be understood, and who tightens them is told which pods would not pass. */
  async #namespace(request: AdmissionRequest): Promise<void> {
    const namespace = request.object as Namespace;
    const now = policyOf(namespace.metadata.labels);
    const before = request.oldObject ? policyOf(request.oldObject.metadata.labels) : undefined;
    if (now.problems.length > 0 && !isDeepStrictEqual(now.problems, before?.problems)) {
      const path = FieldPath.of('metadata', 'labels');
      const found = now.problems.map(({ label, value, message }) =>
        fieldErrors.invalid(path.key(label), value, message),
      );
      throw errors.invalid({ group: '', kind: 'Namespace' }, request.name, found);
    }
    if (!before) return;
    const { enforce } = now.policy;
    const old = before.policy.enforce;
    const sameOrLooser =
      enforce.minor === old.minor && levels.indexOf(enforce.level) <= levels.indexOf(old.level);
    if (enforce.level === 'privileged' || sameOrLooser) return;
    await this.#warnOfPods(request, enforce);
  }

  async #warnOfPods(request: AdmissionRequest, enforce: LevelVersion): Promise<void> {
    const pods = this.#caches.of(core.pods);
    await pods.ready;
    const byReason = new Map<string, string[]>();
    let checked = 0;
    for (const pod of pods.list(request.name)) {
      if (++checked > podsToCheck) break;
      const reason = violations(pod, enforce)
        .map((found) => found.reason)
        .join(', ');
      if (reason !== '') byReason.set(reason, [...(byReason.get(reason) ?? []), pod.metadata.name ?? '']);
    }
    if (byReason.size === 0) return;
    request.warn(
      `existing pods in namespace "${request.name}" violate the new PodSecurity enforce level "${enforce.text}"`,
    );
    const warnings = [...byReason].map(([reason, names]) => {
      const [first, ...others] = names.sort();
      const more = others.length === 1 ? ' (and 1 other pod)' : ` (and ${others.length} other pods)`;
      return `${first}${others.length === 0 ? '' : more}: ${reason}`;
    });
    for (const warning of warnings.sort()) request.warn(warning);
  }
}

function templateOf({ object, resource }: AdmissionRequest): Pick<Pod, 'metadata' | 'spec'> | undefined {
  type Owner = {
    template?: PodTemplateSpec;
    spec?: { template?: PodTemplateSpec; jobTemplate?: { spec?: { template?: PodTemplateSpec } } };
  };
  const owner = object as unknown as Owner;
  const template =
    resource.plural === 'podtemplates'
      ? owner.template
      : (owner.spec?.jobTemplate?.spec?.template ?? owner.spec?.template);
  return template && { metadata: template.metadata ?? {}, ...(template.spec ? { spec: template.spec } : {}) };
}

/** Whether an update changes anything that a check looks at: not where or how long a pod runs. */
function changesSecurity(pod: Pod, old: Pod): boolean {
  const looked = ({ metadata, spec }: Pod): unknown => {
    const {
      tolerations: _,
      activeDeadlineSeconds: __,
      schedulingGates: ___,
      nodeSelector: ____,
      affinity: _5,
      ...rest
    } = spec ?? { containers: [] };
    const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) =>
      /apparmor|seccomp/.test(key),
    );
    return { rest, annotations };
  };
  return !isDeepStrictEqual(looked(pod), looked(old));
}
