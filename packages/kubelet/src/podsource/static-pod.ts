import { createHash } from 'node:crypto';
import { parseYaml } from '@cloudless/kube/codec/yaml';
import { decodeObject } from '@cloudless/kube/schema/decode';
import { schemaOf, type StructSchema } from '@cloudless/kube/schema/schema';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { configAnnotations } from '../naming/pod.ts';

/** A file in the static pod folder that is no pod; the message is a sentence that says what is wrong where. */
export class StaticPodError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StaticPodError';
  }
}

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads one static pod from YAML or JSON and completes it as upstream does (config/common.go applyDefaults): its
 * uid is a digest of node, file and content, its name ends with the node's, it is bound to the node and tolerates
 * every NoExecute taint. Of several documents the first counts.
 *
 * @throws StaticPodError
 */
export function parseStaticPod(source: {
  text: string;
  path: string;
  nodeName: string;
  seenAtMs: number;
  /** Told of fields that no pod has, such as `unknown field "spec.hostNetwrok"`; they are left out, as upstream does. */
  onUnknown?: (fields: readonly string[]) => void;
}): Pod {
  let parsed: unknown;
  try {
    parsed = parseYaml(source.text);
  } catch (error) {
    throw new StaticPodError(`not YAML: ${(error as Error).message}`);
  }
  const { pod, unknown } = decoded(parsed);
  validate(pod);
  if (unknown.length > 0) source.onUnknown?.(unknown);
  const digest = createHash('md5').update(JSON.stringify(pod));
  const uid = pod.metadata.uid ?? digest.update(`host:${source.nodeName}file:${source.path}`).digest('hex');
  const spec = pod.spec!;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      uid,
      name: `${pod.metadata.name}-${source.nodeName.toLowerCase()}`,
      namespace: pod.metadata.namespace ?? 'default',
      annotations: {
        ...pod.metadata.annotations,
        [configAnnotations.hash]: uid,
        [configAnnotations.source]: 'file',
        [configAnnotations.seen]: new Date(source.seenAtMs).toISOString(),
      },
    },
    spec: {
      ...spec,
      nodeName: source.nodeName,
      restartPolicy: spec.restartPolicy ?? 'Always',
      terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds ?? 30,
      dnsPolicy: spec.dnsPolicy ?? 'ClusterFirst',
      tolerations: [...(spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
  };
}

const fail = (why: string): never => {
  throw new StaticPodError(why);
};

/** The object as a pod of the right types, without the fields that no pod has. */
function decoded(parsed: unknown): { pod: Pod; unknown: readonly string[] } {
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return fail('it holds no object');
  const { kind, apiVersion } = parsed as Partial<Pod>;
  if (kind !== 'Pod') fail(`kind is ${JSON.stringify(kind)}; a static pod has kind "Pod"`);
  if (apiVersion !== 'v1')
    fail(`apiVersion is ${JSON.stringify(apiVersion)}; a static pod has apiVersion "v1"`);
  const schema = schemaOf({ group: '', version: 'v1', kind: 'Pod' }) as StructSchema;
  try {
    const { object, strictErrors } = decodeObject(schema, parsed);
    return { pod: object as unknown as Pod, unknown: strictErrors };
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** Refuses what cannot run; the API's own validation follows when the mirror is made. */
function validate(pod: Pod): void {
  checkName('metadata.name', pod.metadata.name, dnsSubdomain, 'DNS name');
  if (pod.metadata.namespace !== undefined)
    checkName('metadata.namespace', pod.metadata.namespace, dnsLabel, 'DNS label');
  if ((pod.spec?.containers ?? []).length === 0) fail('spec.containers: at least one container is needed');
  const volumes = new Set<string>();
  for (const [index, { name }] of (pod.spec!.volumes ?? []).entries()) {
    checkName(`spec.volumes[${index}].name`, name, dnsLabel, 'DNS label');
    if (volumes.has(name)) fail(`spec.volumes[${index}].name: "${name}" is there twice`);
    volumes.add(name);
  }
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [index, container] of (pod.spec![list] ?? []).entries()) {
      checkContainer(container, `spec.${list}[${index}]`, volumes, names);
    }
  }
  checkReferences(pod);
}

function checkName(at: string, name: string | undefined, form: RegExp, what: string): void {
  if (name === undefined || name === '') fail(`${at}: a name is needed`);
  else if (!form.test(name)) fail(`${at}: ${JSON.stringify(name)} is no ${what}`);
}

function checkContainer(container: Container, at: string, volumes: Set<string>, names: Set<string>): void {
  checkName(`${at}.name`, container.name, dnsLabel, 'DNS label');
  if (names.has(container.name)) fail(`${at}.name: "${container.name}" is there twice`);
  names.add(container.name);
  if (!container.image) fail(`${at}.image: an image is needed`);
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    if (!volumes.has(mount.name))
      fail(`${at}.volumeMounts[${index}].name: "${mount.name}" is no volume of the pod`);
  }
}

/** A static pod runs before there is an API, so it may refer to nothing in it. */
function checkReferences(pod: Pod): void {
  const spec = pod.spec!;
  if (spec.serviceAccountName) fail('spec.serviceAccountName: a static pod may not have a service account');
  for (const volume of spec.volumes ?? []) {
    const kind = volume.configMap
      ? 'configMap'
      : volume.secret
        ? 'secret'
        : volume.persistentVolumeClaim
          ? 'persistentVolumeClaim'
          : undefined;
    if (kind) fail(`spec.volumes "${volume.name}": a static pod may not refer to API objects (${kind})`);
  }
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const refers =
      (container.envFrom ?? []).length > 0 ||
      (container.env ?? []).some(({ valueFrom }) => valueFrom?.configMapKeyRef || valueFrom?.secretKeyRef);
    if (refers)
      fail(`container "${container.name}": a static pod may not take its environment from API objects`);
  }
}
