/**
 * Scripts of writes by several managers, and what is left of the object:
 *
 *   == title
 *   METHOD PATH MANAGER BODY   in YAML; POST, PUT, and by patch MERGE, STRATEGIC, JSON, APPLY, FORCE (an apply)
 *   ! CODE text                the write above was refused
 *   ~ unchanged                it wrote nothing
 *   show PATH…                 of the object of the last write, at the end
 *   = PATH JSON
 *   = MANAGER OPERATION VERSION [SUBRESOURCE] FIELDS    each entry of managedFields
 *
 * PATH is `configmaps/a` or `apps/v1/deployments/d/scale`, in a namespace of the script's own. Against any server:
 * that is how the expectations were taken from upstream's.
 */
import { setTimeout } from 'node:timers/promises';
import { parseYaml } from '@cloudless/kube/codec/yaml';
import type { ManagedFieldsEntry } from '@cloudless/kube/types/meta-v1';

export type Send = (request: {
  method: string;
  path: string;
  contentType?: string;
  body?: string;
}) => Promise<{ code: number; body: object }>;

export interface FieldScript {
  readonly title: string;
  readonly lines: readonly string[];
  /** Everything below the title, expectations included. */
  readonly text: string;
}

const isExpectation = (line: string): boolean => /^[!=~] /.test(line);

export function readScripts(text: string): FieldScript[] {
  return `\n${text}`
    .trimEnd()
    .split('\n== ')
    .slice(1)
    .map((part) => {
      const [title = '', ...all] = part.trimEnd().split('\n');
      return { title, lines: all.filter((line) => !isExpectation(line)), text: all.join('\n') };
    });
}

const patches: Readonly<Record<string, string>> = {
  MERGE: 'application/merge-patch+json',
  STRATEGIC: 'application/strategic-merge-patch+json',
  JSON: 'application/json-patch+json',
  APPLY: 'application/apply-patch+yaml',
  FORCE: 'application/apply-patch+yaml',
};

const kinds: Readonly<Record<string, string>> = {
  configmaps: 'ConfigMap',
  secrets: 'Secret',
  services: 'Service',
  pods: 'Pod',
  events: 'Event',
  limitranges: 'LimitRange',
  resourcequotas: 'ResourceQuota',
  podtemplates: 'PodTemplate',
  deployments: 'Deployment',
  statefulsets: 'StatefulSet',
  jobs: 'Job',
  leases: 'Lease',
  ingresses: 'Ingress',
  networkpolicies: 'NetworkPolicy',
  roles: 'Role',
  horizontalpodautoscalers: 'HorizontalPodAutoscaler',
  widgets: 'Widget',
};

interface Place {
  /** Of the object, without its subresource. */
  object: string;
  url: string;
  apiVersion: string;
  kind: string;
}

function placeOf(path: string, namespace: string): Place {
  const [bare = '', search = ''] = path.split('?', 2);
  const parts = bare.split('/');
  const version = parts.findIndex((part) => /^v\d/.test(part));
  const apiVersion = version < 0 ? 'v1' : parts.slice(0, version + 1).join('/');
  const [plural = '', name, subresource] = parts.slice(version + 1);
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const collection = `${root}/namespaces/${namespace}/${plural}`;
  const object = name === undefined ? collection : `${collection}/${name}`;
  const url = subresource === undefined ? object : `${object}/${subresource}`;
  const scale = subresource === 'scale';
  const binding = subresource === 'binding';
  return {
    object,
    url: search === '' ? url : `${url}?${search}`,
    apiVersion: scale ? 'autoscaling/v1' : apiVersion,
    kind: scale ? 'Scale' : binding ? 'Binding' : (kinds[plural] ?? ''),
  };
}

interface Stored {
  metadata: { name?: string; resourceVersion?: string; managedFields?: ManagedFieldsEntry[] };
}

class Run {
  readonly out: string[] = [];
  readonly #namespace: string;
  readonly #send: Send;
  #last = '';
  #shown: readonly string[] = [];

  constructor(namespace: string, send: Send) {
    this.#namespace = namespace;
    this.#send = send;
  }

  async start(): Promise<void> {
    const metadata = { name: this.#namespace };
    await this.#post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
    await this.#post(`/api/v1/namespaces/${this.#namespace}/serviceaccounts`, account);
  }

  async #post(path: string, object: object): Promise<void> {
    const body = JSON.stringify(object);
    await this.#send({ method: 'POST', path, contentType: 'application/json', body });
  }

  async step(line: string): Promise<void> {
    this.out.push(line);
    const [method = '', path = ''] = line.split(' ', 2);
    if (method === 'show') {
      this.#shown = line.split(' ').slice(1);
      return;
    }
    const rest = line.slice(method.length + path.length + 2);
    const [quoted] = /^"[^"]*"/.exec(rest) ?? [];
    const manager = quoted ?? rest.slice(0, rest.indexOf(' '));
    const body = parseYaml(rest.slice(manager.length + 1).replaceAll('NAMESPACE', this.#namespace));
    await this.#write(method, path, quoted === undefined ? manager : String(JSON.parse(quoted)), body);
  }

  async #write(method: string, path: string, manager: string, body: unknown): Promise<void> {
    const place = placeOf(path, this.#namespace);
    const whole = !(method in patches) || method === 'APPLY' || method === 'FORCE';
    const document = whole ? { apiVersion: place.apiVersion, kind: place.kind, ...(body as object) } : body;
    const query = new URLSearchParams(place.url.split('?')[1] ?? '');
    if (manager !== '-') query.set('fieldManager', manager);
    if (method === 'FORCE') query.set('force', 'true');
    const named = (body as Partial<Stored> | undefined)?.metadata?.name;
    const created = method === 'POST' && !place.url.endsWith('/binding');
    this.#last = created ? `${place.object}/${named ?? ''}` : place.object;
    const before = await this.#get();
    const answer = await this.#send({
      method: method in patches ? 'PATCH' : method,
      path: `${place.url.split('?')[0] ?? ''}?${query.toString()}`,
      contentType: patches[method] ?? 'application/json',
      body: JSON.stringify(document),
    });
    if (answer.code >= 400) {
      const { message } = answer.body as { message: string };
      for (const [i, text] of this.#steady(message).split('\n').entries()) {
        this.out.push(i === 0 ? `! ${answer.code} ${text}` : `! ${text}`);
      }
      return;
    }
    const after = await this.#get();
    if (before && after && before.metadata.resourceVersion === after.metadata.resourceVersion) {
      this.out.push('~ unchanged');
    }
  }

  /** What differs from run to run. */
  #steady(message: string): string {
    return message.replaceAll(this.#namespace, 'NAMESPACE').replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UID');
  }

  async #get(): Promise<Stored | undefined> {
    const { code, body } = await this.#send({ method: 'GET', path: this.#last });
    return code === 200 ? (body as Stored) : undefined;
  }

  async finish(): Promise<void> {
    const object = await this.#get();
    if (!object) return;
    for (const path of this.#shown) {
      const value = path
        .split(/[.[\]]/)
        .filter((part) => part !== '')
        .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], object);
      this.out.push(`= ${path} ${this.#steady(JSON.stringify(sorted(value)) ?? 'absent')}`);
    }
    this.out.push(...(object.metadata.managedFields ?? []).map(entryLine).sort());
  }
}

function entryLine(entry: ManagedFieldsEntry): string {
  const { manager = '', operation = '', apiVersion = '', subresource, time, fieldsV1 } = entry;
  const where = subresource === undefined ? '' : ` ${subresource}`;
  const when = time === undefined ? ' (no time)' : '';
  return `= ${manager} ${operation} ${apiVersion}${where}${when} ${JSON.stringify(fieldsV1)}`;
}

/** Members in the order of their names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}

const widgetSchema = `
type: object
properties:
  spec:
    type: object
    properties:
      size: {type: integer}
      free: {type: object, x-kubernetes-preserve-unknown-fields: true}
      port: {x-kubernetes-int-or-string: true}
      list: {type: array, items: {type: string}}
      set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
      one: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}, b: {type: string}}}
      template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
      items:
        type: array
        x-kubernetes-list-type: map
        x-kubernetes-list-map-keys: [name, kind]
        items:
          type: object
          required: [name]
          properties: {name: {type: string}, kind: {type: string, default: plain}, value: {type: string}}
  status: {type: object, properties: {size: {type: integer}}}
`;

/** Defines `example.com/v1` and `v2` Widget, and waits until it is served. */
export async function defineWidgets(send: Send): Promise<void> {
  const version = (name: string, storage: boolean): object => ({
    name,
    storage,
    served: true,
    subresources: {
      status: {},
      scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' },
    },
    schema: { openAPIV3Schema: parseYaml(widgetSchema) },
  });
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
      versions: [version('v1', true), version('v2', false)],
    },
  };
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const body = JSON.stringify(definition);
  await send({ method: 'POST', path, contentType: 'application/json', body });
  for (let attempt = 0; attempt < 500; attempt++) {
    const { code } = await send({ method: 'GET', path: '/apis/example.com/v2/widgets' });
    if (code === 200) return;
    await setTimeout(20);
  }
  throw new Error('the definition of Widgets was not served within 10 s');
}

/** Runs a script in a namespace of its own; its lines with what the server makes of them. */
export async function runScript(script: FieldScript, namespace: string, send: Send): Promise<string[]> {
  const run = new Run(namespace, send);
  await run.start();
  for (const line of script.lines) await run.step(line);
  await run.finish();
  return run.out;
}
